import { decodeName, encodeName, isTokenOf } from './name';

/** Kinds of primitive, as the first token of their keys. */
export type Kind = 'sem' | 'mutex' | 'rw';

/** What a key of a primitive stands for. */
export type Part =
  | { readonly part: 'limit' }
  | { readonly part: 'slot'; readonly slot: number }
  | { readonly part: 'reader'; readonly id: string }
  | { readonly part: 'ticket'; readonly id: string }
  | { readonly part: 'wish'; readonly id: string }
  | { readonly part: 'removed' };

const SLOT = /^(0|[1-9]\d{0,4})$/;

/** Keys of one primitive: `<kind>.<name>.<part>...`. */
export class Keys {
  readonly prefix: string;
  private readonly start: string;

  constructor(
    readonly kind: Kind,
    name: string,
  ) {
    this.prefix = `${kind}.${encodeName(name)}`;
    this.start = `${this.prefix}.`;
  }

  get limit(): string {
    return `${this.prefix}.limit`;
  }

  /** Key of a slot. A read-write lock has one slot, for its writer. */
  slot(n: number): string {
    return this.kind === 'rw' ? `${this.prefix}.writer` : `${this.prefix}.slot.${n}`;
  }

  /** Key of a permit that reads under a read-write lock. */
  reader(permit: string): string {
    return `${this.prefix}.reader.${permit}`;
  }

  ticket(id: string): string {
    return `${this.prefix}.ticket.${id}`;
  }

  wish(id: string): string {
    return `${this.prefix}.wish.${id}`;
  }

  /** Key of the removal notice, which says for a short time that the primitive was removed. */
  get removed(): string {
    return `${this.prefix}.removed`;
  }

  /** What a key stands for; undefined if the key does not belong to this primitive. */
  parse(key: string): Part | undefined {
    if (!key.startsWith(this.start)) return undefined;
    const rest = key.slice(this.start.length);
    const dot = rest.indexOf('.');
    if (dot < 0) return this.parseWord(rest);
    const which = rest.slice(dot + 1);
    if (which === '' || which.includes('.')) return undefined;
    const part = rest.slice(0, dot);
    if (part === 'slot')
      return this.kind !== 'rw' && SLOT.test(which) ? { part, slot: Number(which) } : undefined;
    if (part === 'reader') return this.kind === 'rw' ? { part, id: which } : undefined;
    return part === 'ticket' || part === 'wish' ? { part, id: which } : undefined;
  }

  private parseWord(word: string): Part | undefined {
    if (word === 'removed') return { part: word };
    if (this.kind !== 'rw') return word === 'limit' ? { part: word } : undefined;
    return word === 'writer' ? { part: 'slot', slot: 0 } : undefined;
  }

  /** Pattern for all entries of the primitive. */
  get all(): string {
    return `${this.prefix}.>`;
  }
}

/** Pattern for all entries of all primitives of a kind. */
export const allOf = (kind: Kind): string => `${kind}.*.>`;
/** Pattern for the limits of all primitives of a kind. */
export const limitsOf = (kind: Kind): string => `${kind}.*.limit`;

/** Prefix and name of the primitive that a key belongs to; undefined if no name encodes to the key's second token. */
export function primitiveOf(key: string): { kind: Kind; prefix: string; name: string } | undefined {
  const [kind, token = ''] = key.split('.');
  const name = decodeName(token);
  return isTokenOf(name, token) ? { kind: kind as Kind, prefix: `${kind}.${token}`, name } : undefined;
}
