import { Option } from 'commander';
import type { Dispatcher } from '../api/dispatcher';
import type { LatchStatus, PrimitiveSummary, ReadWriteLockStatus, SlotStatus } from '../api/status';

export type Kind = PrimitiveSummary['kind'];
export type AnyStatus = SlotStatus | ReadWriteLockStatus | LatchStatus;

/** What the commands do with a primitive, of whatever kind. */
export interface Handle {
  status(): Promise<AnyStatus>;
  watch(options: { signal: AbortSignal }): AsyncIterable<AnyStatus>;
  /** Only where there is something to release. */
  forceRelease?(permitId: string): Promise<boolean>;
}

const HANDLES: Readonly<Record<Kind, (dispatcher: Dispatcher, name: string) => Handle>> = {
  semaphore: (dispatcher, name) => dispatcher.semaphore(name),
  mutex: (dispatcher, name) => dispatcher.mutex(name),
  'read-write-lock': (dispatcher, name) => dispatcher.readWriteLock(name),
  latch: (dispatcher, name) => dispatcher.latch(name),
};

export function handleOf(
  dispatcher: Dispatcher,
  { kind, name }: Pick<PrimitiveSummary, 'kind' | 'name'>,
): Handle {
  return HANDLES[kind](dispatcher, name);
}

/** Everything of that name: primitives of different kinds may share one. */
export async function findAll(
  dispatcher: Dispatcher,
  name: string | undefined,
  kind: Kind | undefined,
): Promise<PrimitiveSummary[]> {
  const all = await dispatcher.list();
  return all.filter(
    (one) => (name === undefined || one.name === name) && (kind === undefined || one.kind === kind),
  );
}

/** `--kind`, where several may have the name. */
export function kindOption(): Option {
  return new Option('--kind <kind>', 'only this kind').choices(Object.keys(HANDLES));
}
