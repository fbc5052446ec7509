import type { Verdict } from './checker/check';

/** A verdict for people. */
export function report({ figures, violations, evidence }: Verdict): string {
  const { takeover, recovery, waits, hostile, writes } = figures;
  const rows = (some: object): string =>
    Object.entries(some)
      .map(
        ([key, value]) =>
          `  ${key.padEnd(28)} ${typeof value === 'object' ? JSON.stringify(value) : String(value)}`,
      )
      .join('\n');
  const kinds: Record<string, number> = {};
  for (const { kind } of violations) kinds[kind] = (kinds[kind] ?? 0) + 1;
  return [
    rows({
      seconds: figures.seconds,
      acquisitions: figures.acquisitions,
      'permits lost': figures.losses,
      refusals: figures.refusals,
      processes: figures.processes,
      'revisions recorded': figures.revisions,
      'revisions not recorded': figures.unrecorded,
      'writes without answer': writes.unanswered,
      'of these resolved': writes.resolved,
      'had again at the end': figures.broughtBack,
      'statuses and lists read': figures.reads,
      'safety reads / finds': `${figures.safetyReads} / ${figures.safetyFinds}`,
    }),
    'entries that a server had for too long:',
    rows(figures.leftovers),
    'most slots taken at once:',
    rows(figures.peak),
    'faults:',
    rows(figures.faults),
    'ms from the kill of a holder to the next grant of its slot:',
    rows({ takeover: takeover ?? 'none' }),
    'ms from asking to the grant, of what the hostile client does not write to:',
    rows(waits),
    ...(hostile === undefined
      ? ['no hostile client']
      : ['sent by the hostile client:', rows(hostile.sent), 'answered to it:', rows(hostile.answers)]),
    'ms until claims went on after a server was back (a leader: after it was killed):',
    rows(recovery),
    violations.length === 0 ? 'no violations' : `${violations.length} violations:\n${rows(kinds)}`,
    ...evidence.flatMap(({ violation, lines }) => [
      `\n${violation.kind}: ${violation.message}`,
      ...lines.map((line) => line.slice(0, 240)),
    ]),
  ].join('\n');
}
