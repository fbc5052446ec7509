import { afterEach, describe, expect, it } from '@jest/globals';
import { systemClock } from '../../src/runtime/clock';
import { Watcher } from '../../src/state/watcher';
import { EntryCache } from '../../src/state/entry-cache';
import type { CommitResult, Entry, Store } from '../../src/store/store';
import { eventually } from '../support/eventually';

/** Stores that see the same entries, as two clients of one bucket do. */
export interface StoreWorld {
  open(): Promise<Store>;
  close(): Promise<void>;
}

/** The contract of the store port, for every store. */
export function storeSuite(name: string, makeWorld: () => Promise<StoreWorld>): void {
  describe(`store contract: ${name}`, () => {
    let world: StoreWorld;
    const opened: Store[] = [];

    async function open(): Promise<Store> {
      const store = await world.open();
      opened.push(store);
      return store;
    }

    async function start(): Promise<Store> {
      world = await makeWorld();
      return open();
    }

    afterEach(async () => {
      for (const store of opened.splice(0)) await store.close();
      await world.close();
    });

    it('writes under the expected revision only', async () => {
      const store = await start();
      const first = committed(await store.commit([{ key: 'a.x', expected: 0, value: '1' }]));
      expect(await store.commit([{ key: 'a.x', expected: 0, value: '2' }])).toEqual({
        committed: false,
        actual: first,
      });
      const second = committed(await store.commit([{ key: 'a.x', expected: first, value: '2' }]));
      expect(second).toBeGreaterThan(first);
      expect(await values(store, 'a.x')).toEqual({ 'a.x': '2' });
    });

    it('lets one of many win', async () => {
      const stores = [await start(), await open(), await open()];
      const tries = Array.from({ length: 60 }, (_, i) =>
        (stores[i % 3] as Store).commit([{ key: 'a.x', expected: 0, value: String(i) }]),
      );
      const results = await Promise.all(tries);
      expect(results.filter((result) => result.committed)).toHaveLength(1);
    });

    it('lets a write depend on another key', async () => {
      const store = await start();
      const gate = committed(await store.commit([{ key: 'a.gate', expected: 0, value: 'open' }]));
      const enter = (id: string, expected: number): Promise<CommitResult> =>
        store.commit([{ key: `a.in.${id}`, expected, expectedOf: 'a.gate', value: id }]);
      // They do not disturb each other.
      for (const id of ['1', '2']) committed(await enter(id, gate));
      expect(await enter('3', 0)).toEqual({ committed: false, actual: gate });
      const marker = committed(
        await store.commit([{ key: 'a.gate', expected: gate, value: null, ttl: 1_000 }]),
      );
      // Both at once: the marker goes away after a second.
      const [refused, entered] = await Promise.all([enter('3', gate), enter('3', marker)]);
      expect(refused).toEqual({ committed: false, actual: marker });
      committed(entered);
      expect(await values(store, 'a.in.*')).toEqual({ 'a.in.1': '1', 'a.in.2': '2', 'a.in.3': '3' });
      await eventually(async () => expect(await store.read(['a.gate'])).toEqual([]));
      committed(await enter('4', 0));
    });

    it('keeps one order between writes that depend on a key and writes to that key', async () => {
      const stores = [await start(), await open(), await open()] as [Store, Store, Store];
      const [keeper, ...others] = stores;
      let expected = 0;
      let entered = 0;
      for (let round = 0; round < 15; round++) {
        const inside = others.flatMap((store, i) =>
          Array.from({ length: 8 }, (_, n) => ({ key: `a.in.${round}-${i}-${n}`, store })),
        );
        const entering = inside.map(async ({ key, store }, n) => {
          // Some are under way before the gate is closed, some after.
          for (let turn = 0; turn < n; turn++) await new Promise((resolve) => setImmediate(resolve));
          return store.commit([{ key, expected, expectedOf: 'a.gate', value: 'in' }]);
        });
        for (let turn = 0; turn < round; turn++) await new Promise((resolve) => setImmediate(resolve));
        const closed = committed(await keeper.commit([{ key: 'a.gate', expected, value: 'closed' }]));
        const results = await Promise.all(entering);
        const revisions = results.flatMap((result) => (result.committed ? result.revisions : []));
        for (const revision of revisions) expect(revision).toBeLessThan(closed);
        for (const result of results) if (!result.committed) expect(result.actual).toBe(closed);
        entered += revisions.length;
        expected = closed;
      }
      // Of 240; as many as shows that there was a race.
      expect(entered).toBeGreaterThan(10);
      expect(entered).toBeLessThan(230);
    });

    it('does several writes all or none', async () => {
      const store = await start();
      const taken = committed(await store.commit([{ key: 'a.2', expected: 0, value: 'taken' }]));
      const batch = (expected: number) => [
        { key: 'a.1', expected: 0, value: 'mine' },
        { key: 'a.2', expected, value: 'mine' },
        { key: 'a.3', expected: 0, value: 'mine' },
      ];
      expect((await store.commit(batch(0))).committed).toBe(false);
      expect(await values(store, 'a.*')).toEqual({ 'a.2': 'taken' });
      const result = await store.commit(batch(taken));
      expect(result.committed && result.revisions.length).toBe(3);
      expect(await values(store, 'a.*')).toEqual({ 'a.1': 'mine', 'a.2': 'mine', 'a.3': 'mine' });
      const entries = await store.read(['a.*']);
      expect(result.committed && [...result.revisions].sort()).toEqual(
        entries.map((entry) => entry.revision).sort(),
      );
    });

    it('tells of an expiry, after which the marker is to be expected, and then nothing', async () => {
      const store = await start();
      const heard: Entry[] = [];
      let expired = (_: number): void => undefined;
      const expiry = new Promise<number>((resolve) => (expired = resolve));
      const stop = store.listen(['a.>'], {
        changed: (entry) => {
          heard.push(entry);
          if (entry.value === null) expired(entry.revision);
        },
        interrupted: () => undefined,
      });
      await store.ready();
      const sentAt = systemClock.now();
      const put = committed(await store.commit([{ key: 'a.x', expected: 0, value: '1', ttl: 1_000 }]));
      const marker = await expiry;
      expect(systemClock.now() - sentAt).toBeGreaterThanOrEqual(999);
      // At once: the marker goes away after a second.
      const [refused, over] = await Promise.all([
        store.commit([{ key: 'a.x', expected: put, value: '2' }]),
        store.commit([{ key: 'a.x', expected: marker, value: '3', ttl: 1_000 }]),
      ]);
      expect(marker).toBeGreaterThan(put);
      expect(refused).toEqual({ committed: false, actual: marker });
      committed(over);
      await eventually(() => expect(heard.at(-1)?.value).toBeNull());
      await eventually(async () => expect(await store.read(['a.>'])).toEqual([]));
      committed(await store.commit([{ key: 'a.x', expected: 0, value: '4' }]));
      stop();
    });

    it('keeps what was written over a removal marker when the marker would have gone', async () => {
      const store = await start();
      const put = committed(await store.commit([{ key: 'a.x', expected: 0, value: '1', ttl: 5_000 }]));
      const marker = committed(await store.commit([{ key: 'a.x', expected: put, value: null, ttl: 1_000 }]));
      committed(await store.commit([{ key: 'a.x', expected: marker, value: '2', ttl: 30_000 }]));
      const untouched = await store.commit([{ key: 'a.y', expected: 0, value: null, ttl: 1_000 }]);
      // The marker of a.y is as old as that of a.x: when it is gone, so would the other be.
      expect(untouched.committed).toBe(true);
      await eventually(async () => expect(await store.read(['a.y'])).toEqual([]));
      expect(await values(store, 'a.x')).toEqual({ 'a.x': '2' });
    });

    it('tells every listener of every change, in order, until it is stopped', async () => {
      const [store, other] = [await start(), await open()];
      await Promise.all([store.ready(), other.ready()]);
      const heard: (string | null)[] = [];
      const stop = other.listen(['a.*'], {
        changed: (entry) => heard.push(entry.value),
        interrupted: () => undefined,
      });
      await other.read(['a.*']);
      let revision = 0;
      for (const value of ['1', '2', null, '3']) {
        revision = committed(await store.commit([{ key: 'a.x', expected: revision, value }]));
      }
      await eventually(() => expect(heard).toEqual(['1', '2', null, '3']));
      stop();
      committed(await store.commit([{ key: 'a.x', expected: revision, value: '4' }]));
      await other.read(['a.*']);
      expect(heard).toHaveLength(4);
    });

    it('reads more keys than fit in one answer', async () => {
      const store = await start();
      const keys = Array.from({ length: 1_200 }, (_, i) => `a.${i % 4}.k${i}`);
      for (let i = 0; i < keys.length; i += 100) {
        await Promise.all(
          keys.slice(i, i + 100).map((key) => store.commit([{ key, expected: 0, value: key }])),
        );
      }
      const entries = await store.read(['a.*.*']);
      expect(new Set(entries.map((entry) => entry.key)).size).toBe(1_200);
    });

    it('does nothing when given up before it began', async () => {
      const store = await start();
      const result = await store.commit([{ key: 'a.x', expected: 0, value: '1' }], {
        abandon: AbortSignal.abort(),
      });
      expect(result).toEqual({ committed: false, withdrawn: 'unsent' });
      expect(await store.read(['a.>'])).toEqual([]);
    });

    it('brings a picture to the latest state of every key', async () => {
      const [store, other] = [await start(), await open()];
      const picture = new EntryCache();
      const owner = {
        changed: () => undefined,
        confirmed: () => undefined,
        failed: (error: Error) => {
          throw error;
        },
      };
      const counts = { safetyReads: 0, safetyFinds: 0 };
      await store.commit([{ key: 'a.0', expected: 0, value: 'before' }]);
      const feed = new Watcher(store, systemClock, picture, ['a.>'], owner, counts);
      feed.start();
      const revisions = new Map<string, number>();
      for (let i = 0; i < 200; i++) {
        const key = `a.k${i % 7}`;
        const value = i % 3 === 0 ? null : String(i);
        let result = await other.commit([{ key, expected: revisions.get(key) ?? 0, value }]);
        // A marker may have gone since.
        if (!result.committed && result.actual === 0)
          result = await other.commit([{ key, expected: 0, value }]);
        revisions.set(key, committed(result));
      }
      await eventually(async () => {
        const stored = await other.read(['a.>']);
        const known = new Map([...picture.entries()].map((entry) => [entry.key, entry.revision]));
        for (const entry of stored) expect(known.get(entry.key)).toBe(entry.revision);
      });
      feed.stop();
    });
  });
}

function committed(result: CommitResult): number {
  expect(result).toMatchObject({ committed: true });
  return result.committed ? (result.revisions[0] as number) : 0;
}

async function values(store: Store, pattern: string): Promise<Record<string, string | null>> {
  const entries = await store.read([pattern]);
  return Object.fromEntries(entries.map((entry) => [entry.key, entry.value]));
}
