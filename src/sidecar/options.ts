import type { LocalDispatcher, NatsDispatcher, StoreDispatcher } from '../api/dispatcher';
import { checkKeys, optionKeys } from '../api/option-keys';
import type { ConnectOptions } from '../api/options';
import { checkBoolean } from '../api/option-checks';
import { type Limits, type SidecarLimits, limitsOf } from './limits';

/** Settings of a sidecar. Durations are in ms. */
export interface SidecarOptions {
  /** The dispatcher to serve. It stays yours: `close` leaves it open. Default: one of its own, made from {@link connect}. */
  dispatcher?: NatsDispatcher | LocalDispatcher;
  /** How to connect where no dispatcher is given: as for `NatsDispatcher.connect`. */
  connect?: ConnectOptions;
  /**
   * Address to listen on. Default `127.0.0.1`. Any that is not of this machine alone needs a {@link token}.
   */
  host?: string;
  /** Port to listen on; 0: any that is free. Default 4280. */
  port?: number;
  /** What callers must send as `Authorization: Bearer <token>`: 16 characters or more. Default: nothing is asked for. */
  token?: string;
  /** Names by which callers may address it besides its host and `localhost`, as in their `Host` header. */
  allowedHosts?: readonly string[];
  /** Whether it only shows: everything that changes something is refused. Default false. */
  readOnly?: boolean;
  /**
   * Whether callers may do what operators do: release permits by force, and change a stored number of slots (`limitPolicy: "set"`).
   * Default true; false leaves these requests out.
   */
  operator?: boolean;
  /** The most of everything that it takes. */
  limits?: SidecarLimits;
  /**
   * Whether to follow the bucket all the time, so that the page shows the last minutes to whoever opens it. Default true; false does
   * so only while somebody watches, which costs less where the bucket is busy.
   */
  timeline?: boolean;
  /**
   * How long `close` lets callers keep what they hold, in ms, while nothing new is granted. Default 10,000. What is
   * held then is released.
   */
  drainTimeout?: number;
  /**
   * After how long without a connection to NATS `/healthz` fails, in ms, so that what supervises the sidecar starts it again. Default: never,
   * for the connection comes back by itself and a restart takes from callers what they hold. Of use where a restart brings new
   * credentials. A connection that is closed for good always makes it fail.
   */
  unhealthyAfter?: number;
}

const SIDECAR = optionKeys<SidecarOptions>('startSidecar', {
  dispatcher: true,
  connect: true,
  host: true,
  port: true,
  token: true,
  allowedHosts: true,
  readOnly: true,
  operator: true,
  limits: true,
  timeline: true,
  drainTimeout: true,
  unhealthyAfter: true,
});
export const DEFAULT_PORT = 4280;
const DEFAULT_DRAIN_MS = 10_000;
const MIN_TOKEN = 16;

/** Options with their defaults. */
export interface Settings {
  readonly host: string;
  readonly port: number;
  readonly token: string | undefined;
  readonly allowedHosts: readonly string[];
  readonly readOnly: boolean;
  readonly operator: boolean;
  readonly limits: Limits;
  readonly timeline: boolean;
  readonly drainTimeout: number;
  readonly unhealthyAfter: number;
}

/** What the sidecar needs of its dispatcher. */
export type Backend = StoreDispatcher;

/** @throws RangeError, TypeError that name the option */
export function settingsOf(options: SidecarOptions): Settings {
  checkKeys(options, SIDECAR);
  const { host = '127.0.0.1', port = DEFAULT_PORT, token, allowedHosts = [] } = options;
  const { timeline = true, drainTimeout = DEFAULT_DRAIN_MS, unhealthyAfter = Infinity } = options;
  if (typeof host !== 'string' || host === '') throw new TypeError('host must be a non-empty string');
  if (!Number.isInteger(port) || port < 0 || port > 65_535) {
    throw new RangeError(`port must be a whole number from 0 to 65535, got ${port}`);
  }
  if (!(drainTimeout >= 0)) throw new RangeError(`drainTimeout must be 0 or more ms, got ${drainTimeout}`);
  if (!(unhealthyAfter > 0))
    throw new RangeError(`unhealthyAfter must be more than 0 ms, got ${unhealthyAfter}`);
  const readOnly = checkBoolean('readOnly', options.readOnly, false);
  const operator = checkBoolean('operator', options.operator, true);
  const limits = limitsOf(options.limits);
  checkDispatcher(options.dispatcher);
  if (token !== undefined && !(typeof token === 'string' && /^[\x21-\x7e]{16,}$/.test(token))) {
    throw new RangeError(`token must be ${MIN_TOKEN} or more printable ASCII characters without spaces`);
  }
  if (!isLoopback(host) && token === undefined) {
    throw new RangeError(
      `host ${JSON.stringify(host)} can be reached from other machines: give a token, or listen on 127.0.0.1`,
    );
  }
  return {
    host,
    port,
    token,
    allowedHosts,
    readOnly,
    operator,
    limits,
    timeline,
    drainTimeout,
    unhealthyAfter,
  };
}

export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host);
}

/** Refuses a promise of a dispatcher, for one: it would fail at the first request. */
function checkDispatcher(dispatcher: SidecarOptions['dispatcher']): void {
  if (dispatcher === undefined || typeof (dispatcher as Backend | null)?.overview === 'function') return;
  const isPromise = (dispatcher as unknown) instanceof Promise;
  // The caller learns of this mistake; that the promise fails later must not end the process beside that.
  if (isPromise) (dispatcher as unknown as Promise<unknown>).catch(() => undefined);
  const what = isPromise ? 'a promise: await it first' : 'something else';
  throw new TypeError(`dispatcher must be a NatsDispatcher or a LocalDispatcher, got ${what}`);
}
