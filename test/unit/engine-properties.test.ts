import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { SlotTable } from '../../src/state/slot-table';
import { Keys } from '../../src/protocol/keys';
import { grantable } from '../../src/state/grantable';
import { decodeHold } from '../../src/protocol/records';
import { fencingToken } from '../../src/protocol/fencing-token';
import type { Entry } from '../../src/store/store';
import type { Permit } from '../../src/api/permit';
import { settle } from '../support/fake-clock';
import { Lab, type LabClient } from '../support/lab';

const SLOTS = 3;
const TTL = 2_000;
/** Long enough for slots to be given to those who queue. */
const LONG_TTL = 8_000;
const CLIENTS = 3;

/** Something that one of the clients, or time, does. */
type Step =
  | { readonly do: 'acquire'; readonly client: number; readonly count: number; readonly timeout: number }
  | { readonly do: 'release' | 'abort' | 'force' | 'releaseOne'; readonly which: number }
  | { readonly do: 'resize'; readonly client: number; readonly slots: number }
  | { readonly do: 'cut' | 'mend' | 'pause' | 'resume' | 'hush' | 'answer'; readonly client: number }
  | { readonly do: 'wait'; readonly ms: number };

const client = fc.integer({ min: 0, max: CLIENTS - 1 });
const which = fc.integer({ min: 0, max: 30 });
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('acquire' as const),
      client,
      count: fc.integer({ min: 1, max: 3 }),
      timeout: fc.constantFrom(0, 300, 1_500, 60_000),
    }),
  },
  { weight: 6, arbitrary: fc.record({ do: fc.constantFrom('release' as const, 'abort' as const), which }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constantFrom('force' as const, 'releaseOne' as const), which }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('resize' as const),
      client,
      slots: fc.integer({ min: 1, max: 5 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constantFrom(
        'cut' as const,
        'mend' as const,
        'pause' as const,
        'resume' as const,
        'hush' as const,
        'answer' as const,
      ),
      client,
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.constantFrom(1, 50, 700, 2_500) }),
  },
);

/** Plays steps on a lab and checks after each what must always hold. */
class Play {
  private readonly lab: Lab;
  private readonly clients: LabClient[];
  private readonly granted: Permit[] = [];
  private readonly waiting: AbortController[] = [];
  private readonly keys = new Keys('sem', 's');
  private readonly tokens = new Map<number, bigint>();
  /** Taken away by an operator: their holders may believe a moment longer. */
  private readonly forced = new Set<string>();

  /** Permits whose claim put the semaphore above the limit in force at that revision. */
  private readonly excessive = new Set<string>();
  /** Slot and token of every grant. */
  private readonly grantsMade = new Set<string>();
  grants = 0;

  constructor(
    fair: boolean,
    private readonly retain: number,
    ttl: number,
  ) {
    this.lab = new Lab(undefined, undefined, retain);
    const replayed = new SlotTable(this.keys);
    const changed = (entry: Entry): void => {
      replayed.apply(entry, 0);
      const decoded = entry.value === null ? undefined : decodeHold(entry.value);
      const limit = replayed.limit?.limit;
      if (decoded?.ok !== true || decoded.record.token !== undefined || limit?.ok !== true) return;
      if (replayed.taken.size > limit.record.slots) this.excessive.add(decoded.record.permit);
    };
    this.lab.store.listen(['sem.s.>'], { changed, interrupted: () => undefined });
    this.clients = Array.from({ length: CLIENTS }, () => this.lab.client('s', SLOTS, ttl, fair));
  }

  async run(steps: readonly Step[]): Promise<void> {
    for (const each of steps) {
      if (each.do === 'wait') await this.lab.clock.advance(each.ms);
      else this.play(each);
      await settle();
      await this.check();
    }
    await this.end();
  }

  private play(each: Step): void {
    switch (each.do) {
      case 'acquire':
        return this.acquire(this.clients[each.client] as LabClient, each.count, each.timeout);
      case 'release':
        return void this.pick(each.which)
          ?.release()
          .catch(() => undefined);
      case 'releaseOne': {
        const permit = this.pick(each.which);
        if (permit !== undefined && permit.count > 1) void permit.release(1).catch(() => undefined);
        return;
      }
      case 'force': {
        const permit = this.pick(each.which);
        if (permit === undefined) return;
        this.forced.add(permit.id);
        return void this.clients[0]?.semaphore.forceRelease(permit.id).catch(() => undefined);
      }
      case 'abort':
        return this.waiting[each.which % Math.max(1, this.waiting.length)]?.abort(new Error('aborted'));
      case 'resize':
        return void this.clients[each.client]?.semaphore.setPermits(each.slots).catch(() => undefined);
      case 'wait':
        return;
      default:
        return this.disturb(each.do, this.clients[each.client] as LabClient);
    }
  }

  private disturb(
    what: 'cut' | 'mend' | 'pause' | 'resume' | 'hush' | 'answer',
    { wire, clock }: LabClient,
  ): void {
    if (what === 'cut') wire.cut();
    else if (what === 'mend') wire.mend();
    else if (what === 'hush') wire.delayAnswers();
    else if (what === 'answer') wire.deliverAnswers();
    else if (what === 'pause') clock.pause();
    else clock.resume();
  }

  private acquire({ semaphore }: LabClient, count: number, timeout: number): void {
    const controller = new AbortController();
    this.waiting.push(controller);
    void semaphore.lock({ count, timeout, signal: controller.signal }).then(
      (permit) => {
        this.grants++;
        this.granted.push(permit);
        for (const slot of permit.slots) {
          const grant = `${slot} ${permit.fencingToken}`;
          expect(this.grantsMade.has(grant)).toBe(false);
          this.grantsMade.add(grant);
        }
      },
      () => undefined,
    );
  }

  private pick(index: number): Permit | undefined {
    return this.granted[index % Math.max(1, this.granted.length)];
  }

  /** SPEC promises: safety of every slot, tokens that grow, and nothing believed that the store does not know of. */
  private async check(): Promise<void> {
    const board = new SlotTable(this.keys);
    for (const entry of await this.lab.store.read(['sem.s.>'])) board.apply(entry, 0);
    // A claim that raced a lowering of the limit is taken back before anyone is told of it.
    expect(this.granted.filter(({ id }) => this.excessive.has(id))).toEqual([]);
    const holderOf = new Map<number, string>();
    for (const permit of this.granted) {
      // Reading isHeld compares with the clock, as work that asks before it goes on does.
      if (!permit.isHeld || this.forced.has(permit.id)) continue;
      for (const slot of permit.slots) {
        expect(holderOf.get(slot)).toBeUndefined();
        holderOf.set(slot, permit.id);
        const taken = board.taken.get(slot);
        expect(taken?.hold.ok).toBe(true);
        if (taken?.hold.ok !== true) continue;
        const { record } = taken.hold;
        // Of a slot granted again without a write the store shows an earlier grant of the same process.
        if (this.retain === 0) expect(record.permit).toBe(permit.id);
        const shown = fencingToken(record.token ?? taken.entry.revision, record.use);
        expect(shown <= permit.fencingToken).toBe(true);
      }
    }
    for (const { slot, hold, entry } of board.taken.values()) {
      if (!hold.ok) continue;
      const token = fencingToken(hold.record.token ?? entry.revision, hold.record.use);
      expect(token).toBeGreaterThanOrEqual(this.tokens.get(slot) ?? 0n);
      this.tokens.set(slot, token);
    }
  }

  /** All disturbances end: everything must come to rest, with everything free, and no timer left. */
  private async end(): Promise<void> {
    for (const { wire, clock } of this.clients) {
      clock.resume();
      wire.deliverAnswers();
      wire.mend();
    }
    for (const controller of this.waiting) controller.abort(new Error('the end'));
    await this.lab.clock.advance(500);
    for (const permit of this.granted) await permit.release();
    await this.lab.clock.advance(15_000);
    const left = (await this.lab.store.read(['sem.s.>'])).filter(({ key }) => key !== this.keys.limit);
    expect(left).toEqual([]);
    const free = await this.clients[0]?.semaphore.availablePermits();
    const all = await (this.clients[1] as LabClient).semaphore.drainPermits();
    expect(all?.count).toBe(free);
    await all?.release();
    await this.lab.clock.advance(12_000);
    expect(this.lab.clock.pending).toBe(0);
    await this.lab.close();
  }
}

describe('whatever happens in whatever order', () => {
  it.each([
    [false, 0, TTL],
    [true, 0, TTL],
    [true, 0, LONG_TTL],
    [false, 1_000, TTL],
    [true, 1_000, TTL],
  ])(
    'no slot has two holders and nothing is left over (fair: %s, retain: %i, ttl: %i)',
    async (fair, retain, ttl) => {
      let grants = 0;
      await fc.assert(
        fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 60 }), async (steps) => {
          const play = new Play(fair, retain, ttl);
          await play.run(steps);
          grants += play.grants;
        }),
        { numRuns: Number(process.env.RUNS ?? 300), seed: Number(process.env.SEED ?? 20_261_121) },
      );
      expect(grants).toBeGreaterThan(300);
    },
  );
});

describe('grantable', () => {
  it('never lets the sum exceed a limit, however many grant at once, and gives all where nothing is above', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 12 }),
        fc.uniqueArray(fc.integer({ min: 0, max: 20 })),
        (limit, taken) => {
          const most = grantable(limit, taken);
          const above = taken.filter((slot) => slot >= most).length;
          expect(most).toBeLessThanOrEqual(limit);
          if (most > 0) expect(most + above).toBeLessThanOrEqual(limit);
          if (taken.every((slot) => slot < limit)) expect(most).toBe(limit);
          if (taken.length < limit)
            expect(Array.from({ length: most }, (_, n) => n).some((n) => !taken.includes(n))).toBe(true);
        },
      ),
    );
  });
});
