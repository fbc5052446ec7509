import { newId } from '../../runtime/id';
import { SemaphoreError, StoreFullError, UnsupportedServerError } from '../../errors';
import { MARKER_TTL_MS, type CommitOptions, type CommitResult, type Write } from '../store';
import { Deadline } from './deadline';
import { publishOnce } from './publish';
import { type StoredWrite, readStored } from './read';
import { AGAIN, ATTEMPT_MS, Again, type Session } from './session';

/**
 * Does all of the writes or none, each only if its key's last revision is the expected one.
 *
 * If no answer comes, the same writes are sent again. If they are then stored, the first attempt was not. If they are refused,
 * the stream's leader is asked which write the keys hold, by the id in the headers. Writes that are no longer wanted are
 * superseded by removal markers under the same expectation. After that the writes can not be stored any more. The markers stay
 * as long as the writes, and the entries that they were to replace, would have stayed. So a write that arrives later still lasts
 * no longer than an entry that is not renewed, and nothing comes back from under a marker.
 * (`Nats-Msg-Id` can not do this: with one replica the expectation is checked before the duplicate.)
 *
 * A write that depends on another key ({@link Write.expectedOf}) goes to a key of its own, which no other client writes to.
 * - Sent again, it may be stored over itself with the same value. The later revision counts, but so does the time of the first
 *   attempt: a server that stood still puts the expiry marker of the first over the second (measured under the fault campaign).
 * - If it is refused, the other key has changed. The entry under its own key shows whether it was stored before that.
 * - If it is withdrawn, its marker expects that its own key is empty. If the marker is refused, the write was stored; if the
 *   marker is stored, the write was not.
 * - An attempt that arrives later still, from a connection that has died, is stored if the other key has not changed by then.
 *   No process owns that entry, and it stays until its TTL ends.
 */
export async function commit(
  session: Session,
  writes: readonly Write[],
  { until, abandon, urgent = false }: CommitOptions,
): Promise<CommitResult> {
  const { clock, link, names } = session;
  const longest = longestTtl(writes);
  const deadline = new Deadline(clock, until, abandon, longest);
  const id = newId();
  const withdrawId = `${id}.withdrawn`;
  /** Reading of the clock when the first attempt with an unknown outcome was sent. */
  let unsettledSince: number | undefined;

  const result = await session.persist<CommitResult>('writing', deadline, async (bucket) => {
    if (writes.length > 1 && bucket?.atomic === false) throw noBatches(names.bucket);
    const withdrawing = abandon?.aborted === true;
    if (withdrawing && unsettledSince === undefined) return { committed: false, withdrawn: 'unsent' };
    if (bucket === undefined) return AGAIN;

    const sent = await session.inTurn(deadline, urgent ? 'urgent' : 'usual', () => {
      // The attempt begins here: the time before that does not count.
      const sentAt = clock.now();
      const timeout = deadline.clip(ATTEMPT_MS);
      const attempt = withdrawing
        ? publishOnce(link, names, markersFor(writes, longest), withdrawId, timeout)
        : publishOnce(link, names, writes, id, timeout);
      return attempt.then((outcome) => ({ sentAt, attempt: outcome }));
    });
    if (sent instanceof Again) return sent;
    const { attempt, sentAt } = sent;
    switch (attempt.outcome) {
      case 'stored':
        session.refusal = undefined;
        if (withdrawing) return { committed: false, withdrawn: 'superseded' };
        return {
          committed: true,
          revisions: attempt.revisions,
          sentAt: isDependent(writes) ? (unsettledSince ?? sentAt) : sentAt,
        };
      case 'conflict':
        if (unsettledSince === undefined) return conflict(attempt.actual);
        return settle(session, writes, { id, withdrawId, sentAt: unsettledSince }, attempt.actual, deadline);
      case 'busy':
        return AGAIN;
      case 'full': {
        const full = storeFull(writes, attempt.reason);
        session.refusal = full;
        // The write has neither a deadline nor an abort signal, so it could wait for ever: the caller decides.
        if (until === undefined && abandon === undefined) throw full;
        return new Again(full);
      }
      case 'refused':
        throw new SemaphoreError(
          'WRITE_REFUSED',
          `the server refused a write to ${writes[0]?.key}: ${attempt.reason}`,
        );
      case 'unanswered':
        if (attempt.kind === 'silent') {
          if (unsettledSince === undefined) session.counts.unanswered++;
          unsettledSince ??= sentAt;
        }
        throw attempt.error;
    }
  });
  if (unsettledSince !== undefined) session.counts.resolved++;
  return result;
}

/** Finds out which writes are stored, after a refusal that our own earlier attempt may have caused. */
async function settle(
  session: Session,
  writes: readonly Write[],
  own: { readonly id: string; readonly withdrawId: string; readonly sentAt: number },
  actual: number | undefined,
  deadline: Deadline,
): Promise<CommitResult> {
  const { link, names } = session;
  const stored: (StoredWrite | undefined)[] = [];
  for (const { key } of writes) {
    const read = (): Promise<StoredWrite | undefined | Again> =>
      session.inTurn(deadline, 'urgent', () => readStored(link, names, key, deadline.clip(ATTEMPT_MS)));
    stored.push(await session.persist('finding out about a write', deadline, read));
  }
  const ours = stored.map((found) => (found?.writeId === own.id ? found.revision : undefined));
  if (ours.every((revision) => revision !== undefined)) {
    return { committed: true, revisions: ours, sentAt: own.sentAt };
  }
  if (stored.every((found) => found?.writeId === own.withdrawId))
    return { committed: false, withdrawn: 'superseded' };
  // Part of a batch has already been superseded. The batch is then useless as a whole, so the rest is removed.
  for (const [i, revision] of ours.entries()) {
    const key = writes[i]?.key ?? '';
    if (revision === undefined) continue;
    const ttl = longestTtl(writes);
    await commit(session, [{ key, expected: revision, value: null, ttl }], { until: deadline.at });
  }
  if (isDependent(writes)) return conflict(actual);
  return conflict(writes.length === 1 ? (stored[0]?.revision ?? 0) : undefined);
}

/** Whether the write depends on another key. Such a write is not refused because it was stored before. */
function isDependent([write]: readonly Write[]): boolean {
  return write?.expectedOf !== undefined;
}

function markersFor(writes: readonly Write[], ttl: number): Write[] {
  return writes.map(({ key, expected, expectedOf }) => ({
    key,
    expected: expectedOf === undefined ? expected : 0,
    value: null,
    ttl,
  }));
}

function conflict(actual: number | undefined): CommitResult {
  return actual === undefined ? { committed: false } : { committed: false, actual };
}

function noBatches(bucket: string): UnsupportedServerError {
  return new UnsupportedServerError(
    `the bucket "${bucket}" takes no atomic batches, which a permit of several slots needs: nats-server 2.12 or newer, ` +
      'and, for a bucket made by an older one, allowBucketUpdate: true',
  );
}

function storeFull([write]: readonly Write[], reason: string): StoreFullError {
  return new StoreFullError(
    `the server has no room for a write to ${write?.key}: ${reason}. Raise max_bytes of the bucket or the limits of its ` +
      'account, or free space on the disk.',
  );
}

/** After how long nothing is left of the writes, whatever their outcome, in ms. */
function longestTtl(writes: readonly Write[]): number {
  let longest = MARKER_TTL_MS;
  for (const { ttl = ATTEMPT_MS, replaces = 0 } of writes) longest = Math.max(longest, ttl, replaces);
  return longest;
}
