/** The names of all options of one kind. The type makes a list complete: a name that is missing, or one too many, does not compile. */
export type AllKeysOf<T> = { readonly [K in keyof Required<T>]: true };

/** Which options there are. */
export interface OptionKeys {
  /** What they are options of, for messages: `an acquire`. */
  readonly of: string;
  readonly names: Readonly<Record<string, true>>;
}

export function optionKeys<T>(of: string, names: AllKeysOf<T>): OptionKeys {
  // Without a prototype: `toString` and `__proto__` are not options.
  return { of, names: Object.assign(Object.create(null) as object, names) };
}

/**
 * Refuses an unknown option, which would otherwise be ignored silently. Returns the options.
 * @throws TypeError that names the option, what it is an option of, and the one that was probably meant
 */
export function checkKeys<T>(options: T, { of, names }: OptionKeys): T {
  if (options === undefined) return options;
  if (typeof options !== 'object' || options === null) {
    throw new TypeError(`the options of ${of} must be an object, got ${String(options)}`);
  }
  // An inherited key is not the caller's: libraries exist that extend `Object.prototype`.
  for (const key in options) {
    if (!(key in names) && Object.hasOwn(options, key)) throw unknownOption(key, of, Object.keys(names));
  }
  return options;
}

/** The option that an unknown name probably means; undefined if none is near. */
export function nearestName(given: string, names: readonly string[]): string | undefined {
  const plain = plainly(given);
  const meant = MEANT[plain] ?? [];
  const same = names.find((name) => plainly(name) === plain) ?? meant.find((name) => names.includes(name));
  if (same !== undefined || plain.length > LONGEST_NAME) return same;
  let nearest: string | undefined;
  let least = Math.max(1, Math.floor(plain.length / 3)) + 1;
  for (const name of names) {
    const distance = editDistance(plain, plainly(name));
    if (distance < least) [nearest, least] = [name, distance];
  }
  return nearest;
}

const LONGEST_NAME = 64;

/** What other libraries call it, as normalized by {@link plainly}, and its name here; the first that the place knows. */
const MEANT: Readonly<Record<string, readonly string[]>> = {
  acquiretimeout: ['timeout'],
  acquiretimelimit: ['timeout'],
  maxwait: ['timeout'],
  wait: ['timeout'],
  waittime: ['timeout'],
  waittimeout: ['timeout'],
  duration: ['ttl'],
  expire: ['ttl'],
  expires: ['ttl'],
  expiresin: ['ttl'],
  expiry: ['ttl'],
  lease: ['ttl'],
  leasetime: ['ttl'],
  locktimeout: ['ttl'],
  lockttl: ['ttl'],
  autoextend: ['autoRenew'],
  refresh: ['autoRenew'],
  refreshinterval: ['autoRenew'],
  renew: ['autoRenew'],
  abort: ['signal'],
  permits: ['count'],
  weight: ['count'],
  identifier: ['holder'],
  identity: ['holder'],
  owner: ['holder'],
  fairness: ['fair'],
  fifo: ['fair'],
  reconnects: ['maxReconnectAttempts'],
  host: ['servers'],
  hosts: ['servers'],
  uri: ['servers'],
  url: ['servers'],
  urls: ['servers'],
  password: ['pass'],
  username: ['user'],
};

/** `TTL`, `time_out` and `timeoutMs` mean the plain one. */
function plainly(name: string): string {
  return name
    .toLowerCase()
    .replace(/[_-]/g, '')
    .replace(/(?<=.)(ms|millis|milliseconds)$/, '');
}

function unknownOption(key: string, of: string, names: readonly string[]): TypeError {
  const meant = nearestName(key, names);
  const where = `(in the options of ${of})`;
  return new TypeError(
    meant === undefined
      ? `${shown(key)}: is not an option ${where}; allowed: ${names.join(', ')}`
      : `${shown(key)}: is not an option; did you mean ${meant}? ${where}`,
  );
}

function shown(key: string): string {
  if (/^[\w$]{1,64}$/.test(key)) return key;
  return JSON.stringify(key.length > LONGEST_NAME ? `${key.slice(0, LONGEST_NAME)}...` : key);
}

/** How many letters to insert, remove, replace or swap with their neighbour to make one of the other. */
function editDistance(a: string, b: string): number {
  const rows = [Array.from({ length: b.length + 1 }, (_, j) => j)];
  for (let i = 1; i <= a.length; i++) {
    const [above, row] = [rows[i - 1] as number[], [i]];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (above[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1);
      const swapped =
        a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1] ? (rows[i - 2]?.[j - 2] ?? Infinity) + 1 : Infinity;
      row[j] = Math.min((above[j] as number) + 1, (row[j - 1] as number) + 1, replaced, swapped);
    }
    rows.push(row);
  }
  return rows[a.length]?.[b.length] as number;
}
