import { acquireAll } from '../engine/acquire-all';
import type { Context } from '../store/context';
import type { Engine } from '../engine/engine';
import type { EngineRegistry } from '../engine/engine-registry';
import type { Want } from '../protocol/request';
import type { Mutex } from './mutex';
import { checkKeys, optionKeys } from './option-keys';
import type { AcquireOptions } from './options';
import { checkCount, toAcquireOptions } from './option-checks';
import { type Permit, toPermit } from './permit';
import type { Semaphore } from './semaphore';
import type { Telemetry } from './telemetry/telemetry';
import { patienceOf, permitHome, settingsOf, wantOf } from './slot-lock';

/** One of several things to be acquired together. */
export interface AcquireAllWant {
  semaphore: Semaphore | Mutex;
  /** How many slots of it. Default 1. */
  count?: number;
}

const WANT = optionKeys<AcquireAllWant>('one of the wants', { semaphore: true, count: true });

/** Acquires slots of several primitives together. @param engines of the dispatcher on which the caller acquires */
export async function acquireTogether(
  context: Context,
  wants: readonly AcquireAllWant[],
  options: AcquireOptions | undefined,
  engines: EngineRegistry,
  ttl: number,
  telemetry: Telemetry,
): Promise<Permit> {
  if (!Array.isArray(wants) || wants.length === 0) {
    throw new TypeError('wants must be a non-empty array of { semaphore, count }');
  }
  const { count: none, ...given } = toAcquireOptions(options);
  if (none !== undefined) throw new TypeError('count belongs to each of the wants, not to the options');
  const { safetyMargin } = context;
  const wanted = new Map<Engine, { engine: Engine; count: number; want: Want }>();
  for (const one of wants as readonly AcquireAllWant[]) {
    const { semaphore, count = 1 } = checkKeys(one, WANT);
    const settings = settingsOf(semaphore);
    if (settings === undefined)
      throw new TypeError('wants: each must name a semaphore or mutex of this dispatcher');
    const engine = settings.engine();
    if (!engines.has(engine)) throw new TypeError(`wants: "${engine.name}" belongs to another dispatcher`);
    const total = (wanted.get(engine)?.count ?? 0) + checkCount(count);
    const want = wantOf(settings, { ...given, ttl: given.ttl ?? ttl, count: total });
    wanted.set(engine, { engine, count: total, want });
  }
  const all = [...wanted.values()];
  const first = all[0] as { want: Want };
  const patience = patienceOf(given);
  const name = all.map(({ engine }) => engine.name).join(', ');
  const kind = 'semaphore';
  const lease = await telemetry.follow({ kind, name, signal: patience.signal }, () =>
    acquireAll(context, all, first.want, patience),
  );
  return toPermit(lease, permitHome({ kind, name, safetyMargin, telemetry }));
}
