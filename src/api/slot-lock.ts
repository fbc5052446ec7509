import type { RemoveOptions } from './options';
import type { Engine } from '../engine/engine';
import { REMOVE } from './known-options';
import { checkKeys } from './option-keys';
import type { Keys } from '../protocol/keys';
import type { Lease } from '../lease/lease';
import { available } from '../state/grantable';
import type { LimitPolicy, Patience, Want } from '../protocol/request';
import { LockHandle } from './lock';
import type { AcquireOptions, LockOptions } from './options';
import {
  checkBoolean,
  checkCount,
  checkMetadata,
  checkPermitId,
  checkSafetyMargin,
  checkSignal,
  checkTimeout,
  checkTtl,
  signalOfWatch,
} from './option-checks';
import { type OwnPermit, type PermitHome, toPermit } from './permit';
import type { Telemetry } from './telemetry/telemetry';
import { type PermitKind, type SlotKind, type SlotStatus, statusOf } from './status';
import { changes } from './watching';

/** What a primitive needs of its dispatcher. */
export interface Settings {
  readonly name: string;
  readonly kind: PermitKind;
  readonly keys: Keys;
  /** The number in the code; undefined: as stored. */
  readonly slots: number | undefined;
  readonly ttl: number;
  readonly fair: boolean;
  readonly retain: number;
  readonly limitPolicy: LimitPolicy;
  readonly forgetAfter?: number | undefined;
  readonly safetyMargin: number | undefined;
  readonly telemetry: Telemetry;
  /** The engine for this name, for one operation. */
  engine(): Engine;
  /** How to acquire where the engine alone does not decide it. */
  readonly acquire?: (want: Want, patience: Patience) => Promise<Lease>;
}

/** What a primitive made of slots needs of its dispatcher. */
export interface SlotSettings extends Settings {
  readonly kind: SlotKind;
}

/** What operators do to a primitive, and see of it. */
export interface Watchable<Status> {
  /** Holders and waiters at this moment. */
  status(): Promise<Status>;
  /**
   * The status now, and again after every change. A slow reader gets the latest status and skips the ones between: it is never behind by
   * more than one. Ends when `signal` aborts or the loop is left; throws when the dispatcher or its connection is closed.
   */
  watch(options?: { signal?: AbortSignal }): AsyncIterable<Status>;
  /**
   * Revokes a permit: its signal aborts, and its slots may be granted to others at once, possibly before the holder has stopped. Resolves
   * with whether it was held. A tool for operators.
   */
  forceRelease(permitId: string): Promise<boolean>;
  /**
   * Removes everything of it from the bucket, with a stored limit. Resolves with whether there was anything. Waiters and watches of it in
   * all processes end with a {@link PrimitiveRemovedError}. The name may be used again at once: it starts anew, with larger fencing tokens.
   * Removal markers expire by themselves, after as long as the entries they stand for would have lasted.
   * @throws PrimitiveInUseError while it is held, or waited for in a fair queue, unless `force` is true
   * @throws BackendUnavailableError, PermissionDeniedError, DispatcherClosedError
   */
  remove(options?: RemoveOptions): Promise<boolean>;
}

/** @returns whether to remove it by force */
export function isForced(options: RemoveOptions = {}): boolean {
  return checkBoolean('force', checkKeys(options, REMOVE).force, false);
}

/** What semaphore and mutex have in common: a name, an engine, and slots to take. */
export abstract class SlotLock<Options extends LockOptions, Status extends SlotStatus>
  extends LockHandle<Options>
  implements Watchable<Status>
{
  private readonly home: PermitHome;

  constructor(
    protected readonly settings: SlotSettings,
    /** The limit where none is stored. */
    protected readonly defaultLimit: number,
  ) {
    super();
    this.home = permitHome(settings);
    settingsOfHandle.set(this, settings);
  }

  get name(): string {
    return this.settings.name;
  }

  async isLocked(): Promise<boolean> {
    return (await this.available()) === 0;
  }

  async status(): Promise<Status> {
    const { kind, name } = this.settings;
    return statusOf(kind, name, await this.settings.engine().look(), this.defaultLimit) as Status;
  }

  watch(options: { signal?: AbortSignal } = {}): AsyncIterable<Status> {
    const signal = signalOfWatch(options);
    const { kind, name } = this.settings;
    this.settings.engine().checkOpen();
    return {
      [Symbol.asyncIterator]: () =>
        changes(
          // An idle engine may have been put away since.
          () => this.settings.engine(),
          signal,
          ({ view }) => statusOf(kind, name, view, this.defaultLimit) as Status,
        ),
    };
  }

  async forceRelease(permitId: string): Promise<boolean> {
    return this.settings.engine().forceRelease(checkPermitId(permitId));
  }

  async remove(options?: RemoveOptions): Promise<boolean> {
    return this.settings.engine().remove(isForced(options));
  }

  protected async available(): Promise<number> {
    const table = await this.settings.engine().look();
    const stored = table.limit?.limit;
    return available(table, stored?.ok === true ? stored.record.slots : this.defaultLimit);
  }

  protected async take(options: Options): Promise<OwnPermit> {
    return this.takeSlots(wantOf(this.settings, options), patienceOf(options));
  }

  protected async takeSlots(want: Want, patience: Patience): Promise<OwnPermit> {
    return toPermit(await acquireBy(this.settings, want, patience), this.home);
  }
}

/** Settings of the handles made here, for operations on several of them. */
const settingsOfHandle = new WeakMap<object, SlotSettings>();

export function settingsOf(handle: object): SlotSettings | undefined {
  return settingsOfHandle.get(handle);
}

export function acquireBy(settings: Settings, want: Want, patience: Patience): Promise<Lease> {
  const { name, kind, telemetry } = settings;
  return telemetry.follow(
    { kind, name, mode: want.mode, signal: patience.signal },
    () => settings.acquire?.(want, patience) ?? settings.engine().acquire(want, patience),
  );
}

export function wantOf(settings: Settings, options: AcquireOptions): Want {
  const { slots, fair, limitPolicy, forgetAfter, retain, safetyMargin } = settings;
  const ttl = options.ttl === undefined ? settings.ttl : checkTtl(options.ttl);
  checkSafetyMargin(safetyMargin, ttl);
  return {
    count: options.count === undefined ? 1 : checkCount(options.count),
    ttl,
    autoRenew: checkBoolean('autoRenew', options.autoRenew, true),
    metadata: checkMetadata(options.metadata),
    retain,
    fair,
    slots,
    limitPolicy,
    ...(forgetAfter === undefined ? {} : { forgetAfter }),
  };
}

export function patienceOf(options: AcquireOptions): Patience {
  return { timeout: checkTimeout(options.timeout), signal: checkSignal(options.signal) };
}

export function permitHome({
  kind,
  name,
  safetyMargin,
  telemetry,
}: Pick<Settings, 'kind' | 'name' | 'safetyMargin' | 'telemetry'>): PermitHome {
  return {
    kind,
    name,
    telemetry,
    ttl: (value) => {
      const ttl = checkTtl(value);
      checkSafetyMargin(safetyMargin, ttl);
      return ttl;
    },
    count: (count, held) => checkCount(count, held, 'the slots it holds'),
  };
}
