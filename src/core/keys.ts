import { decodeName, encodeName } from './name';

/** Kinds of primitive, as the first token of their keys. */
export type Kind = 'sem' | 'mutex' | 'rw';

/** What a key of a primitive stands for. */
export type Part =
  | { readonly part: 'limit' }
  | { readonly part: 'slot'; readonly slot: number }
  | { readonly part: 'reader'; readonly id: string }
  | { readonly part: 'ticket'; readonly id: string };

/** Keys of one primitive: `<kind>.<name>.<part>...`. */
export class Keys {
  readonly prefix: string;

  constructor(
    readonly kind: Kind,
    name: string,
  ) {
    this.prefix = `${kind}.${encodeName(name)}`;
  }

  get limit(): string {
    return `${this.prefix}.limit`;
  }

  /** The one slot of a read-write lock is its writer's. */
  slot(n: number): string {
    return this.kind === 'rw' ? `${this.prefix}.writer` : `${this.prefix}.slot.${n}`;
  }

  /** Of a permit that reads under a read-write lock. */
  reader(permit: string): string {
    return `${this.prefix}.reader.${permit}`;
  }

  ticket(id: string): string {
    return `${this.prefix}.ticket.${id}`;
  }

  /** What a key stands for; undefined if it is none of this primitive's. */
  parse(key: string): Part | undefined {
    if (!key.startsWith(`${this.prefix}.`)) return undefined;
    const [part, which, ...more] = key.slice(this.prefix.length + 1).split('.');
    if (more.length > 0) return undefined;
    if (this.kind !== 'rw' && part === 'limit' && which === undefined) return { part };
    if (this.kind === 'rw' && part === 'writer' && which === undefined) return { part: 'slot', slot: 0 };
    if (this.kind === 'rw' && part === 'reader' && which !== undefined && which !== '')
      return { part, id: which };
    if (this.kind !== 'rw' && part === 'slot' && /^(0|[1-9]\d{0,4})$/.test(which ?? ''))
      return { part, slot: Number(which) };
    if (part === 'ticket' && which !== undefined && which !== '') return { part, id: which };
    return undefined;
  }

  /** All entries of the primitive. */
  get all(): string {
    return `${this.prefix}.>`;
  }
}

/** All entries of all primitives of a kind. */
export const allOf = (kind: Kind): string => `${kind}.*.>`;
/** The limits of all primitives of a kind. */
export const limitsOf = (kind: Kind): string => `${kind}.*.limit`;

/** The prefix of the primitive that a key belongs to, and its name. */
export function primitiveOf(key: string): { kind: Kind; prefix: string; name: string } {
  const [kind, token] = key.split('.');
  return { kind: kind as Kind, prefix: `${kind}.${token}`, name: decodeName(token ?? '') };
}
