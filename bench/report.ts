import type { Reach, Section } from './result';

/** Prints a section: what was measured of each contender, then what is judged. */
export function print(section: Section): void {
  console.log(`\n${section.title}\n${section.note}`);
  console.table(
    Object.fromEntries(
      section.rows.flatMap(({ what, unit, figures }) =>
        Object.entries(figures).map(([name, { n, p50, p99 }]) => [
          `${what}: ${name}`,
          { n, p50: short(p50), p99: n > 1 ? short(p99) : '', unit },
        ]),
      ),
    ),
  );
}

/** Prints what all comes to: the ratios, what they should be, and whether they are. */
export function printVerdicts(sections: readonly Section[]): void {
  console.log('\nAll ratios');
  console.table(
    sections.flatMap(({ scenario, rows }) =>
      rows.flatMap(({ what, verdicts }) =>
        verdicts.map((verdict) => ({
          scenario,
          what: `${what}: ${verdict.what}`,
          value: short(verdict.value),
          reach: verdict.reach === undefined ? '' : inWords(verdict.reach),
          met: verdict.met === undefined ? '' : verdict.met ? 'yes' : 'NO',
        })),
      ),
    ),
  );
}

function inWords(reach: Reach): string {
  return 'atMost' in reach ? `<= ${reach.atMost}` : `>= ${reach.atLeast}`;
}

function short(value: number): string {
  return Number.isFinite(value) ? String(Number(value.toPrecision(3))) : 'not measured';
}
