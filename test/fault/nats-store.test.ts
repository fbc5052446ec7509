import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { connect } from '@nats-io/transport-node';
import { systemClock } from '../../src/runtime/clock';
import { openConnection } from '../../src/store/nats/connect';
import type { NatsConnection } from '../../src/store/nats/connection';
import { NatsStore } from '../../src/store/nats/nats-store';
import type { CommitResult, Store, Write } from '../../src/store/store';
import { TestServer } from '../../src/testing';
import { eventually } from '../support/eventually';
import { Proxy } from '../support/proxy';

let server: TestServer;
let proxy: Proxy;
let buckets = 0;
const cleanups: (() => Promise<unknown>)[] = [];

/** A store whose link can be made to fail, and one beside it that sees what is really stored. */
let store: Store;
let witness: Store;

beforeAll(async () => {
  server = await TestServer.start();
});
afterAll(() => server.stop());

beforeEach(async () => {
  proxy = await Proxy.start(server.port);
  const bucket = `F${++buckets}`;
  store = await open(proxy.url, bucket);
  witness = await open(server.url, bucket);
  await store.ready();
});

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  await proxy.stop();
});

async function open(url: string, bucket: string): Promise<Store> {
  const connection: NatsConnection = await openConnection({ servers: url });
  const opened = new NatsStore(connection, { bucket });
  cleanups.push(async () => {
    await opened.close();
    await connection.close();
  });
  return opened;
}

async function stored(key: string): Promise<{ value: string | null; revision: number } | undefined> {
  const [entry] = await witness.read([key]);
  return entry && { value: entry.value, revision: entry.revision };
}

/** Sends writes whose answer is lost although they are carried out, and mends the link. */
async function commitUnanswered(writes: readonly Write[]): Promise<CommitResult> {
  proxy.swallowAnswers();
  const outcome = store.commit(writes);
  await eventually(async () => {
    for (const write of writes) expect((await stored(write.key))?.value).toBe(write.value);
  });
  proxy.cut();
  return outcome;
}

/** A write of `a.in` that depends on `a.gate`. @param disturb breaks the link; what it gives runs before it is mended */
async function dependent(disturb: () => () => Promise<void>, abandon?: AbortSignal): Promise<CommitResult> {
  const meanwhile = disturb();
  const write = { key: 'a.in', expected: 0, expectedOf: 'a.gate', value: 'in', ttl: 30_000 };
  const outcome = store.commit([write], { abandon });
  await meanwhile();
  proxy.cut();
  return outcome;
}

describe('an answer that never comes', () => {
  it('to a claim that was stored: it is found out, under the revision it has', async () => {
    const before = systemClock.now();
    const result = await commitUnanswered([{ key: 'a.x', expected: 0, value: 'mine', ttl: 30_000 }]);
    expect(result).toMatchObject({ committed: true, revisions: [(await stored('a.x'))?.revision] });
    // The lease began no later than the first attempt: believing in a later start would be believing too long.
    expect(result.committed && result.sentAt - before).toBeLessThan(1_000);
  });

  it('to a renewal that was stored', async () => {
    const first = await store.commit([{ key: 'a.x', expected: 0, value: '1', ttl: 30_000 }]);
    const expected = first.committed ? (first.revisions[0] as number) : -1;
    const result = await commitUnanswered([{ key: 'a.x', expected, value: '2', ttl: 30_000 }]);
    expect(result).toMatchObject({ committed: true, revisions: [(await stored('a.x'))?.revision] });
  });

  it('to a release that was stored', async () => {
    const first = await store.commit([{ key: 'a.x', expected: 0, value: '1', ttl: 30_000 }]);
    const expected = first.committed ? (first.revisions[0] as number) : -1;
    const result = await commitUnanswered([{ key: 'a.x', expected, value: null, ttl: 10_000 }]);
    expect(result).toMatchObject({ committed: true });
  });

  it('to a batch that was stored', async () => {
    const result = await commitUnanswered([
      { key: 'a.x', expected: 0, value: '1', ttl: 30_000 },
      { key: 'a.y', expected: 0, value: '2', ttl: 30_000 },
    ]);
    expect(result).toMatchObject({
      committed: true,
      revisions: [(await stored('a.x'))?.revision, (await stored('a.y'))?.revision],
    });
  });

  it('to a claim that was not stored: it is stored by the next attempt', async () => {
    proxy.stall();
    const outcome = store.commit([{ key: 'a.x', expected: 0, value: 'mine', ttl: 30_000 }]);
    await expectNothing('a.x');
    proxy.cut();
    expect(await outcome).toMatchObject({ committed: true, revisions: [(await stored('a.x'))?.revision] });
  });

  it('to a claim that lost: it does not take the winner for itself', async () => {
    proxy.stall();
    const outcome = store.commit([{ key: 'a.x', expected: 0, value: 'mine', ttl: 30_000 }]);
    await expectNothing('a.x');
    const won = await witness.commit([{ key: 'a.x', expected: 0, value: 'theirs', ttl: 30_000 }]);
    proxy.cut();
    expect(await outcome).toEqual({ committed: false, actual: won.committed ? won.revisions[0] : -1 });
    expect((await stored('a.x'))?.value).toBe('theirs');
  });

  it('to a claim given up meanwhile: it says so if it was stored', async () => {
    const abandon = new AbortController();
    proxy.swallowAnswers();
    const outcome = store.commit([{ key: 'a.x', expected: 0, value: 'mine', ttl: 30_000 }], {
      abandon: abandon.signal,
    });
    await eventually(async () => expect((await stored('a.x'))?.value).toBe('mine'));
    abandon.abort();
    proxy.cut();
    expect(await outcome).toMatchObject({ committed: true, revisions: [(await stored('a.x'))?.revision] });
  });

  it('to a claim given up meanwhile: it can not be stored any more', async () => {
    const abandon = new AbortController();
    proxy.stall();
    const outcome = store.commit([{ key: 'a.x', expected: 0, value: 'mine', ttl: 30_000 }], {
      abandon: abandon.signal,
    });
    await expectNothing('a.x');
    abandon.abort();
    proxy.cut();
    expect(await outcome).toEqual({ committed: false, withdrawn: 'superseded' });
    expect((await stored('a.x'))?.value ?? null).toBeNull();
    // However late it arrives, as long as it would have lasted.
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    expect((await stored('a.x'))?.value).toBeNull();
  });

  it('to a write that depends on another key, which changes before it can be asked', async () => {
    const result = await dependent(() => {
      proxy.swallowAnswers();
      return async () => {
        await eventually(async () => expect((await stored('a.in'))?.value).toBe('in'));
        await witness.commit([{ key: 'a.gate', expected: 0, value: 'closed' }]);
      };
    });
    expect(result).toMatchObject({ committed: true, revisions: [(await stored('a.in'))?.revision] });
    expect((await stored('a.in'))?.revision).toBeLessThan((await stored('a.gate'))?.revision as number);
  });

  it('to a write that depends on another key, which does not change: it is stored again, over itself, and counts from the first time', async () => {
    let first: Awaited<ReturnType<typeof stored>>;
    let storedAt = 0;
    const result = await dependent(() => {
      proxy.swallowAnswers();
      return async () => {
        await eventually(async () => expect((first = await stored('a.in'))?.value).toBe('in'));
        storedAt = systemClock.now();
      };
    });
    const last = (await stored('a.in'))!.revision;
    expect(last).toBeGreaterThan(first!.revision);
    expect(result).toMatchObject({ committed: true, revisions: [last] });
    // Its first expiry marker may come over it.
    expect(result.committed && result.sentAt < storedAt).toBe(true);
  });

  it('to a write that depends on another key, and was not stored before that changed', async () => {
    let closed = 0;
    const result = await dependent(() => {
      proxy.stall();
      return async () => {
        await expectNothing('a.in');
        const gate = await witness.commit([{ key: 'a.gate', expected: 0, value: 'closed' }]);
        closed = gate.committed ? (gate.revisions[0] as number) : -1;
      };
    });
    expect(result).toEqual({ committed: false, actual: closed });
    expect(await stored('a.in')).toBeUndefined();
  });

  it.each([false, true])(
    'to a write that depends on another key, given up when it was stored (the other changed: %s)',
    async (changes) => {
      const abandon = new AbortController();
      const result = await dependent(() => {
        proxy.swallowAnswers();
        return async () => {
          await eventually(async () => expect((await stored('a.in'))?.value).toBe('in'));
          if (changes) await witness.commit([{ key: 'a.gate', expected: 0, value: 'closed' }]);
          abandon.abort();
        };
      }, abandon.signal);
      expect(result).toMatchObject({ committed: true, revisions: [(await stored('a.in'))?.revision] });
    },
  );

  it.each([false, true])(
    'to a write that depends on another key, given up before it was stored (the other changed: %s)',
    async (changes) => {
      const abandon = new AbortController();
      const result = await dependent(() => {
        proxy.stall();
        return async () => {
          await expectNothing('a.in');
          if (changes) await witness.commit([{ key: 'a.gate', expected: 0, value: 'closed' }]);
          abandon.abort();
        };
      }, abandon.signal);
      expect(result).toEqual({ committed: false, withdrawn: 'superseded' });
      expect((await stored('a.in'))?.value ?? null).toBeNull();
    },
  );

  it('at all: it gives up when the time is over', async () => {
    proxy.refuse(true);
    const until = systemClock.now() + 300;
    await expect(store.commit([{ key: 'a.x', expected: 0, value: '1' }], { until })).rejects.toMatchObject({
      code: 'BACKEND_UNAVAILABLE',
    });
  });
});

describe('listeners', () => {
  it('are told after every reconnect that they may have missed something', async () => {
    let interruptions = 0;
    store.listen(['a.>'], { changed: () => undefined, interrupted: () => interruptions++ });
    proxy.cut();
    await eventually(() => expect(interruptions).toBe(1));
    proxy.cut();
    await eventually(() => expect(interruptions).toBe(2));
  });

  it('are told, and so is whoever holds something, when the bucket is replaced, also behind a lost link', async () => {
    let resets = 0;
    store.onReset(() => resets++);
    const first = await witness.commit([{ key: 'a.x', expected: 0, value: '1', ttl: 30_000 }]);
    proxy.refuse(true);
    await deleteBucket();
    const second = await witness.commit([{ key: 'a.x', expected: 0, value: '2', ttl: 30_000 }]);
    proxy.refuse(false);
    await eventually(() => expect(resets).toBeGreaterThan(0));
    // Revisions are fencing tokens: they outrank those of the bucket that was.
    expect(second.committed && first.committed && second.revisions[0]).toBeGreaterThan(
      first.committed ? (first.revisions[0] as number) : Infinity,
    );
  });
});

async function deleteBucket(): Promise<void> {
  const connection = await connect({ servers: server.url });
  await connection.request(`$JS.API.STREAM.DELETE.KV_F${buckets}`, new Uint8Array(0), { timeout: 2_000 });
  await connection.close();
}

/** Nothing is stored under the key, as far as the server knows by the time it has answered a later request. */
async function expectNothing(key: string): Promise<void> {
  for (let i = 0; i < 5; i++) expect(await stored(key)).toBeUndefined();
}

describe('a server that does not answer when the bucket is to be opened', () => {
  /** Longer than one request may take (2 s). */
  const SILENCE_MS = 3_000;

  it('is asked again: the bucket is ready once it answers', async () => {
    const late = await open(proxy.url, `F${++buckets}`);
    proxy.slow(Infinity);
    const ready = late.ready();
    await sleep(SILENCE_MS);
    proxy.hurry();
    await expect(ready).resolves.toBeUndefined();
  });

  it('is given up after 10 s, and the error names the bucket', async () => {
    const bucket = `F${++buckets}`;
    const late = await open(proxy.url, bucket);
    proxy.slow(Infinity);
    const error: unknown = await late.ready().catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: 'BACKEND_UNAVAILABLE' });
    expect(String(error)).toContain(`"${bucket}"`);
    proxy.hurry();
  });
});
