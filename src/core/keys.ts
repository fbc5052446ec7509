import type { Filter } from '../store/store';
import { encodeName } from './name';

/** Kinds of primitive, as the first token of their keys. */
export type Kind = 'sem';

/** Keys of one primitive: `<kind>.<name>.<part>...`. */
export class Keys {
  readonly prefix: string;

  constructor(kind: Kind, name: string) {
    this.prefix = `${kind}.${encodeName(name)}`;
  }

  slot(n: number): string {
    return `${this.prefix}.slot.${n}`;
  }

  /** Which slot a key stands for; undefined if it is none. */
  slotOf(key: string): number | undefined {
    const start = `${this.prefix}.slot.`;
    if (!key.startsWith(start)) return undefined;
    const digits = key.slice(start.length);
    return /^(0|[1-9]\d{0,9})$/.test(digits) ? Number(digits) : undefined;
  }

  /** Everything a waiter must know of. */
  all(): Filter[] {
    return [{ pattern: `${this.prefix}.>` }];
  }
}
