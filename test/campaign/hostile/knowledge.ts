import { HeaderBlock } from '../../support/header-block';
import { HOSTILE_HEADER, isHostileKey } from './marks';

/** What the stream stored last under a key. */
export interface Known {
  readonly key: string;
  readonly revision: number;
  /** Nothing is there: it is a marker. */
  readonly empty: boolean;
  readonly writeId: string;
  /** It is the hostile client's own, and no gift, which a client may hold. */
  readonly own: boolean;
}

/** What the hostile client has learned by listening, as every worker may. */
export class Knowledge {
  /** How announcements begin, up to the key. */
  prefix = '';
  latest = 0;
  private readonly keys = new Map<string, Known>();

  constructor(private readonly bucket: string) {}

  hear(subject: string, headers: string, body: Buffer): void {
    const block = new HeaderBlock(headers);
    const revision = Number(block.last('Nats-Sequence'));
    const stored = block.last('Nats-Subject');
    if (!stored.startsWith(`$KV.${this.bucket}.`) || !(revision > 0)) return;
    this.prefix = subject.split('.').slice(0, 3).join('.');
    this.latest = Math.max(this.latest, revision);
    const key = stored.slice(`$KV.${this.bucket}.`.length);
    const empty = block.count('Nats-Marker-Reason') + block.count('KV-Operation') > 0;
    const known = this.keys.get(key);
    if (known === undefined || known.revision < revision)
      this.keys.set(key, {
        key,
        revision,
        empty,
        writeId: block.last('Semaphore-Write'),
        own: block.count(HOSTILE_HEADER) > 0 && !body.includes('"given":'),
      });
  }

  get(key: string): Known | undefined {
    return this.keys.get(key);
  }

  /** Entries of others under a part of a primitive's keys. */
  standing(prefix: string): Known[] {
    return [...this.keys.values()].filter(
      ({ key, empty }) => !empty && key.startsWith(prefix) && !isHostileKey(key),
    );
  }

  /** What is gone for good is not needed any more. */
  forgetOld(): void {
    const all = [...this.keys.values()].sort((a, b) => b.revision - a.revision);
    for (const { key, empty } of all.slice(MAX_KEYS)) if (empty) this.keys.delete(key);
  }
}

const MAX_KEYS = 2_000;
