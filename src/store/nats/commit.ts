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
 * When no answer comes, the same writes are sent again: stored means that the first time they were not; refused means that
 * the stream's leader is asked whose write the keys hold, by the id in their headers. Writes that are no longer wanted are
 * superseded by removal markers under the same expectation, after which they can not be stored any more. The markers stay
 * as long as the writes would have, and as what they were to replace: should one arrive later still, it lasts no longer than any
 * entry nobody renews, and nothing comes back from under a marker.
 * (`Nats-Msg-Id` can not do this: with one replica the expectation is checked before the duplicate.)
 *
 * A write that depends on another key ({@link Write.expectedOf}) goes to a key of its own, which nobody else writes to. Sent
 * again, it may be stored over itself: the same value, and the later revision counts, but the time since it was sent first, as
 * a server that stood still puts the expiry marker of the first over the second (measured under the fault campaign). Refused,
 * the other key has changed; what its own key holds tells whether it was stored before that. Withdrawn, its marker expects
 * that nothing is under its own key: refused, the write was stored; stored, it was not. An attempt that arrives later still,
 * out of a connection that has died, is stored if the other key has not changed by then: it belongs to nobody, and stands
 * until its TTL.
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
  /** When the first attempt was sent of which nobody knows what became. */
  let unsettledSince: number | undefined;

  const result = await session.persist<CommitResult>('writing', deadline, async (bucket) => {
    if (writes.length > 1 && bucket?.atomic === false) throw noBatches(names.bucket);
    const withdrawing = abandon?.aborted === true;
    if (withdrawing && unsettledSince === undefined) return { committed: false, withdrawn: 'unsent' };
    if (bucket === undefined) return AGAIN;

    const sent = await session.inTurn(deadline, urgent ? 'urgent' : 'usual', () => {
      // From here on it is under way: before that no time counts.
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
        // Nobody waits for it with a limit of time: the caller is to decide.
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

/** After a refusal that may be due to our own earlier attempt: finds out whose writes are stored. */
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
  // Part of a batch has already been superseded: it is of no use as a whole, so the rest is taken back.
  for (const [i, revision] of ours.entries()) {
    const key = writes[i]?.key ?? '';
    if (revision === undefined) continue;
    const ttl = longestTtl(writes);
    await commit(session, [{ key, expected: revision, value: null, ttl }], { until: deadline.at });
  }
  if (isDependent(writes)) return conflict(actual);
  return conflict(writes.length === 1 ? (stored[0]?.revision ?? 0) : undefined);
}

/** Whether it is a write that depends on another key, and so is not refused because it was stored before. */
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

/** After so long nothing of the writes is left, whatever became of them. */
function longestTtl(writes: readonly Write[]): number {
  let longest = MARKER_TTL_MS;
  for (const { ttl = ATTEMPT_MS, replaces = 0 } of writes) longest = Math.max(longest, ttl, replaces);
  return longest;
}
