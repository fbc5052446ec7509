import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** A change to the text of one file of the library. */
interface Change {
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

/** Protections, and how each is taken out of a copy of the library. */
export const BREAKS: Readonly<Record<string, readonly Change[]>> = {
  /** A release removes whatever is under the key. */
  'conditional-release': [
    {
      file: 'store/remove-entries.ts',
      from: 'store.commit([{ key, expected: revision, value: null, ttl }], { until });',
      to: `store.read([key]).then(([there]) => store.commit(
        [{ key, expected: there?.revision ?? revision, value: null, ttl }], { until }));`,
    },
  ],
  /** A removal marker stays for a second, whatever it stands over. */
  'short-markers': [
    {
      file: 'store/nats/nats-store.ts',
      from: 'return storedTtl(ttl);',
      to: 'return storedTtl(Math.min(ttl, 1));',
    },
  ],
  /** A holder believes on after its lease has run out. */
  'local-deadline': [
    {
      file: 'lease/lease.ts',
      from: 'return sentAt + ttl - Math.min(ttl / 2, safetyMargin(ttl, configured));',
      to: 'return sentAt + ttl + 1e9;',
    },
  ],
  /**
   * A renewal counts whenever its answer comes; until then the permit does not count as held. A single server seldom
   * undoes a renewal that it has answered, a cluster often: take three servers.
   */
  'late-renewal': [
    {
      file: 'lease/lease.ts',
      from: "if (this.state !== 'held' || this.context.clock.now() < this.deadline) return;",
      to: "if (this.state !== 'held' || this.context.clock.now() < this.deadline || this.renewing !== undefined) return;",
    },
    {
      file: 'lease/lease.ts',
      from: `    this.lookAtClock();
    return this.state === 'held';`,
      to: `    this.lookAtClock();
    return this.state === 'held' && this.context.clock.now() < this.deadline;`,
    },
    {
      file: 'lease/lease.ts',
      from: '    if (!this.isHeld) return;\n    if (failure !== undefined)',
      to: "    if (this.state !== 'held') return;\n    if (failure !== undefined)",
    },
  ],
  /** A write that was not answered counts as not stored. */
  'unanswered-writes': [
    {
      file: 'store/nats/commit.ts',
      from: 'unsettledSince ??= sentAt;',
      to: '',
    },
  ],
  /** Of a header that comes several times the first counts, which the publisher wrote, and not the server's own. */
  'own-headers': [
    {
      file: 'store/nats/wire.ts',
      from: `      if (values.length > 1 || this.values.has(name))
        this.fault ??= \`its message has more than one value of the header \${name}\`;
      this.values.set(name, values.at(-1) ?? '');`,
      to: "      if (!this.values.has(name)) this.values.set(name, values[0] ?? '');",
    },
  ],
  /** Nothing is read again after a reconnect, nor as a safety net. */
  'read-again': [
    {
      file: 'state/watcher.ts',
      from: 'interrupted: () => this.refresh(),',
      to: 'interrupted: () => undefined,',
    },
    {
      file: 'state/watcher.ts',
      from: 'if (!this.watchful || !this.running || this.lookingAgain) return;',
      to: 'return;',
    },
  ],
};

/** Makes a copy of the library without one of its protections, and returns where it is. */
export function brokenCopy(name: string, folder: string): string {
  const changes = BREAKS[name];
  if (changes === undefined)
    throw new Error(`nothing is called "${name}": ${Object.keys(BREAKS).join(', ')}`);
  cpSync(join(__dirname, '..', '..', 'src'), folder, { recursive: true });
  for (const { file, from, to } of changes) {
    const path = join(folder, file);
    const parts = readFileSync(path, 'utf8').split(from);
    if (parts.length !== 2)
      throw new Error(`${file} has "${from}" ${parts.length - 1} times, so it can not be taken out`);
    writeFileSync(path, parts.join(to));
  }
  return folder;
}
