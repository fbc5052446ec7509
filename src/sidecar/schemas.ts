import { type Static, type TObject, type TUnsafe, Type } from '@sinclair/typebox';
import { MAX_TIMER_MS } from '../runtime/clock';
import { MAX_SLOTS } from '../protocol/records';
import { MAX_AT_ONCE } from '../protocol/records';

/** What requests may say and what answers look like: validated with, and shown in the OpenAPI description. Durations are in ms. */

const strict = { additionalProperties: false };
const ttl = (description: string): ReturnType<typeof Type.Integer> =>
  Type.Integer({ minimum: 1_000, maximum: MAX_TIMER_MS, description });
const timeStamp = Type.String({ format: 'date-time' });
const metadata = Type.Record(Type.String(), Type.String(), {
  description: 'Shown in status views; at most 4,096 bytes as JSON.',
});

const acquire = {
  timeout: Type.Optional(
    Type.Integer({
      minimum: 0,
      maximum: MAX_TIMER_MS,
      description: 'How long to wait, in ms. 0: only what is free now. Default: until the caller hangs up.',
    }),
  ),
  ttl: Type.Optional(ttl('How long the hold survives without renewal, in ms. Default 30,000.')),
  session: Type.Optional(
    Type.String({
      description:
        'The permit lasts as long as this session and is renewed by the sidecar. Without one the caller renews it within its ttl.',
    }),
  ),
  fair: Type.Optional(
    Type.Boolean({ description: 'Grant in the order of asking, across all processes. Default false.' }),
  ),
  metadata: Type.Optional(metadata),
};

export const LockRequest = Type.Object(acquire, strict);
export type LockRequest = Static<typeof LockRequest>;
const limitPolicy = (allowed: readonly ('error' | 'adopt' | 'set')[]): TUnsafe<'error' | 'adopt' | 'set'> =>
  Type.Unsafe({
    type: 'string',
    enum: allowed,
    description: 'What to do when `slots` is not the stored number. Default "error".',
  });
export const SemaphoreRequest = Type.Object(
  {
    slots: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: MAX_SLOTS,
        description:
          'How many there are: stored on first use. Another number than the stored one is a conflict.',
      }),
    ),
    limitPolicy: Type.Optional(limitPolicy(['error', 'adopt', 'set'])),
    count: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: MAX_AT_ONCE,
        description: 'How many to take, all or none. Default 1.',
      }),
    ),
    ...acquire,
  },
  strict,
);
export type SemaphoreRequest = Static<typeof SemaphoreRequest>;

/** The same for callers that may not change the stored number of slots. */
export const OwnSemaphoreRequest = Type.Object(
  {
    ...SemaphoreRequest.properties,
    limitPolicy: Type.Optional(limitPolicy(['error', 'adopt'])),
  },
  strict,
);

export const RenewRequest = Type.Object(
  { ttl: Type.Optional(ttl('From now on, in ms. Default: as it was.')) },
  strict,
);
export type RenewRequest = Static<typeof RenewRequest>;

export const ReleaseRequest = Type.Object(
  {
    count: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: MAX_AT_ONCE,
        description: 'How many slots to give back. Default: all.',
      }),
    ),
  },
  strict,
);
export type ReleaseRequest = Static<typeof ReleaseRequest>;

export const SessionRequest = Type.Object(
  {
    ttl: Type.Optional(
      Type.Integer({
        minimum: 1_000,
        maximum: 3_600_000,
        description:
          'How long it lasts without a sign of life, in ms, while nobody listens to its stream. Default 15,000.',
      }),
    ),
  },
  strict,
);
export type SessionRequest = Static<typeof SessionRequest>;

const id = Type.Object({ id: Type.String() });
const name = Type.Object({
  name: Type.String({ description: 'Any text of 1 to 256 bytes of UTF-8, percent-encoded: "/" is "%2F".' }),
});
const side = Type.Unsafe<'read' | 'write'>({ type: 'string', enum: ['read', 'write'] });
export const IdParams = id;
export type IdParams = Static<typeof id>;
export const NameParams = name;
export type NameParams = Static<typeof name>;
export const SideParams = Type.Object({ ...name.properties, side });
export type SideParams = Static<typeof SideParams>;
export const PermitParams = Type.Object({ ...name.properties, ...id.properties });
export type PermitParams = Static<typeof PermitParams>;

const fencingToken = Type.String({
  pattern: '^[0-9]+$',
  description:
    'A whole number of up to 63 bits, as text. Grows with every grant of the same slot: compare as numbers.',
});
export const Permit = Type.Object({
  id: Type.String({
    description:
      'Names the permit to this sidecar. A secret of its caller: to know it is the right to renew and release.',
  }),
  permitId: Type.String({ description: 'Names the permit in the status, and to operators.' }),
  kind: Type.String(),
  name: Type.String(),
  mode: Type.Optional(side),
  slots: Type.Array(Type.Integer()),
  fencingToken,
  ttl: Type.Integer(),
  remaining: Type.Integer({ description: 'Ms until it is lost unless it is renewed.' }),
  expiresAt: timeStamp,
  session: Type.Boolean({ description: 'Whether it lasts as long as a session does.' }),
});
const yesOrNo = Type.Unsafe<'true' | 'false'>({ type: 'string', enum: ['true', 'false'] });
export const RemoveQuery = Type.Object({ force: Type.Optional(yesOrNo) }, { additionalProperties: false });
export type RemoveQuery = Static<typeof RemoveQuery>;

export const Removed = Type.Object({
  removed: Type.Boolean({ description: 'Whether there was anything to remove' }),
});

export const Released = Type.Object({
  released: Type.Boolean({ description: 'Whether it was still held.' }),
});
export const Session = Type.Object({
  id: Type.String({
    description: 'A secret of its caller: to know it is the right to use and end the session.',
  }),
  ttl: Type.Integer(),
  expiresAt: Type.Union([timeStamp, Type.Null()], {
    description: 'null while somebody listens to its stream.',
  }),
  permits: Type.Array(Type.String(), { description: 'The `id` of each permit that it keeps.' }),
});

const holder = {
  permitId: Type.String(),
  holder: Type.String(),
  since: timeStamp,
  expiresAt: timeStamp,
  fencingToken,
  metadata,
};
const waiter = { holder: Type.String(), since: timeStamp, expiresAt: timeStamp, metadata };
const common = {
  name: Type.String(),
  corrupt: Type.Array(Type.Object({ key: Type.String(), reason: Type.String() })),
};
export const SlotStatus = Type.Object({
  ...common,
  kind: Type.Union([Type.Literal('semaphore'), Type.Literal('mutex')]),
  slots: Type.Integer(),
  available: Type.Integer(),
  holders: Type.Array(Type.Object({ ...holder, slots: Type.Array(Type.Integer()) })),
  waiters: Type.Array(Type.Object({ ...waiter, count: Type.Integer() })),
  kept: Type.Array(
    Type.Object({ slot: Type.Integer(), holder: Type.String(), since: timeStamp, expiresAt: timeStamp }),
    {
      description:
        'Slots that nobody holds, kept by a process for its own next acquire until somebody waits.',
    },
  ),
});
export const ReadWriteLockStatus = Type.Object({
  ...common,
  kind: Type.Literal('read-write-lock'),
  holders: Type.Array(Type.Object({ ...holder, mode: side })),
  waiters: Type.Array(Type.Object({ ...waiter, mode: side })),
});
export const LatchStatus = Type.Object({
  ...common,
  kind: Type.Literal('latch'),
  count: Type.Integer(),
  total: Type.Optional(Type.Integer()),
  counted: Type.Array(Type.Object({ holder: Type.String(), count: Type.Integer() })),
});
export const AnyStatus = Type.Union([SlotStatus, ReadWriteLockStatus, LatchStatus]);
/** A status as it goes over the wire. */
export type AnyStatus = Static<typeof AnyStatus>;
export type SlotStatusWire = Static<typeof SlotStatus>;
export const PrimitiveList = Type.Object({
  primitives: Type.Array(
    Type.Object({
      name: Type.String(),
      kind: Type.String(),
      slots: Type.Optional(Type.Integer()),
      held: Type.Integer(),
      waiting: Type.Integer(),
    }),
  ),
});

export const ProblemDocument = Type.Object(
  {
    type: Type.String(),
    title: Type.String(),
    status: Type.Integer(),
    code: Type.String({ description: 'Stable; tell problems apart by it.' }),
    detail: Type.String(),
    instance: Type.String(),
    errors: Type.Optional(Type.Array(Type.Object({ field: Type.String(), message: Type.String() }))),
  },
  { description: 'A problem document (RFC 9457).' },
);

export const Health = Type.Object({ status: Type.String() });
export const Empty = Type.Null({ description: 'Nothing.' });

/** The answers of a route of server-sent events. */
export function streamAnswers(...problems: number[]): object {
  const content = { 'text/event-stream': { schema: Type.String() } };
  return {
    ...answers({}, ...problems, 429),
    200: { description: 'Server-sent events, until one side ends them.', content },
  };
}

/** The answers of a route: that of success, and problems with what they mean. */
export function answers(
  success: Record<number, TObject | ReturnType<typeof Type.Null>>,
  ...problems: number[]
): object {
  const documents = [...new Set([400, 401, ...problems, 503])].map((status) => [
    status,
    {
      description: PROBLEMS[status] ?? 'A problem.',
      content: { 'application/problem+json': { schema: ProblemDocument } },
    },
  ]);
  return { ...success, ...(Object.fromEntries(documents) as object) };
}

const PROBLEMS: Readonly<Record<number, string>> = {
  400: 'A field is wrong or not known: `errors` names it.',
  401: 'The sidecar wants a token, or another one.',
  403: '`READ_ONLY`, `CROSS_ORIGIN`: this sidecar refuses the request.',
  404: 'There is no such permit or session here.',
  409: '`ACQUIRE_TIMEOUT`: not to be had in time. `LIMIT_CONFLICT`: it has another number of slots. `IN_USE`: it is not removed while it is used.',
  410: 'The permit was lost or released, or the session has ended.',
  413: '`BODY_TOO_LARGE`: the body is longer than this sidecar takes.',
  429: '`TOO_MANY_STREAMS`: the address of the caller has as many event streams as it may have. Comes with `Retry-After`.',
  503: '`BACKEND_UNAVAILABLE`: the NATS server can not be reached. `DRAINING`: the sidecar is about to end. `SIDECAR_FULL`: it has as many permits, waiters, sessions, event streams or connections as it takes. Comes with `Retry-After`.',
};
