import { type NatsConnection, createInbox } from '@nats-io/transport-node';
import { HeaderBlock } from '../support/header-block';

/** What one server says that a bucket has. */
export interface Held {
  /** Up to which revision that server knew the stream. */
  readonly upTo: number;
  /** Keys that have a value, and its revision. */
  readonly entries: readonly (readonly [key: string, revision: number])[];
}

const PAGE = 500;
const ASK_MS = 3_000;
/** More keys in one question are refused. */
const MAX_KEYS = 1_000;

interface Found {
  readonly key: string;
  readonly revision: number;
  readonly isValue: boolean;
}

/**
 * Reads all values of a bucket from the server that a connection is to: a server that has a replica answers direct gets by itself.
 * First which keys have one, then those once more in one answer each, which says how far the server has come.
 */
export async function readHeld(connection: NatsConnection, bucket: string): Promise<Held> {
  const keys: string[] = [];
  for (let seq = 1; ;) {
    const page = await directGet(connection, bucket, {
      seq,
      batch: PAGE,
      next_by_subj: `$KV.${bucket}.>`,
    });
    for (const { key, isValue } of page.found) if (isValue) keys.push(key);
    if (page.pending === 0 || page.found.length === 0) break;
    seq = Math.max(...page.found.map(({ revision }) => revision)) + 1;
  }
  const entries: [string, number][] = [];
  let upTo = Infinity;
  for (let i = 0; i < keys.length; i += MAX_KEYS) {
    const multi_last = keys.slice(i, i + MAX_KEYS).map((key) => `$KV.${bucket}.${key}`);
    const part = await directGet(connection, bucket, { multi_last });
    for (const { key, revision, isValue } of part.found) if (isValue) entries.push([key, revision]);
    upTo = Math.min(upTo, part.upTo);
  }
  return { upTo: entries.length === 0 ? 0 : upTo, entries };
}

interface Answer {
  readonly found: Found[];
  readonly pending: number;
  readonly upTo: number;
}

/** Over a subscription of its own: the client's shared one ends with the first message whose headers it refuses. */
async function directGet(connection: NatsConnection, bucket: string, query: object): Promise<Answer> {
  const inbox = createInbox();
  const found: Found[] = [];
  return new Promise((resolve, reject) => {
    const end = (settle: () => void): void => {
      clearTimeout(patience);
      subscription.unsubscribe();
      settle();
    };
    const patience = setTimeout(
      () => end(() => reject(new Error('the answer to a direct get did not end in time'))),
      ASK_MS,
    );
    const subscription = connection.subscribe(inbox, {
      callback(error, message) {
        if (error !== null) return end(() => reject(error));
        const block = HeaderBlock.of(message);
        const subject = block.last('Nats-Subject');
        // An entry may have been stored with a status.
        if (subject !== '') {
          found.push({
            key: subject.slice(`$KV.${bucket}.`.length),
            revision: Number(block.last('Nats-Sequence')),
            isValue: block.count('Nats-Marker-Reason') + block.count('KV-Operation') === 0,
          });
        } else if (block.status === 204 || block.status === 404) {
          const pending = Number(block.last('Nats-Num-Pending'));
          const upTo = Number(block.last('Nats-UpTo-Sequence'));
          end(() => resolve({ found, pending, upTo }));
        } else end(() => reject(new Error(`a direct get was answered with ${block.status}`)));
      },
    });
    connection.publish(`$JS.API.DIRECT.GET.KV_${bucket}`, JSON.stringify(query), { reply: inbox });
  });
}
