import type { History } from '../history';
import { beliefsOf } from './beliefs';
import { disturbances } from './calm';
import { checkEndings } from './endings';
import { type Evidence, evidenceOf } from './evidence';
import { type Figures, figuresOf } from './figures';
import { readStream } from './holds';
import { checkLatches } from './latches';
import { checkLiveness } from './liveness';
import { checkReturns } from './returns';
import { checkSafety } from './safety';
import type { Violation } from './violation';

export interface Verdict {
  readonly figures: Figures;
  readonly violations: readonly Violation[];
  /** What was going on around the first of them. */
  readonly evidence: readonly Evidence[];
}

const EVIDENCE_OF = 5;

/** Judges what a campaign left behind. Reads nothing else, and shares no code with the library. */
export function check(history: History): Verdict {
  const beliefs = beliefsOf(history);
  const story = readStream(history);
  const troubles = disturbances(history);
  const violations = [
    ...checkSafety(beliefs, story, history.facts.jobs),
    ...checkLiveness(history, beliefs, story, troubles),
    ...checkLatches(history, troubles),
    ...checkReturns(history),
    ...checkEndings(history),
  ].sort((a, b) => a.at - b.at);
  return {
    figures: figuresOf(history, beliefs, story, troubles),
    violations,
    evidence: violations.slice(0, EVIDENCE_OF).map((violation) => evidenceOf(history, violation)),
  };
}
