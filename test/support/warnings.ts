import { runInThisContext } from 'node:vm';
import { nextTurn } from '../../src/runtime/clock';

/** A process warning, as listeners get it. */
export interface Warning extends Error {
  readonly code?: string;
}

/** The process itself: Jest gives tests a copy, which is not told of warnings. */
const real = runInThisContext('process') as NodeJS.Process;

/** Collects process warnings until disposed: those of this library, and those of the platform. */
export class Warnings implements Disposable {
  private readonly seen: Warning[] = [];
  private readonly note = (warning: Warning): void => void this.seen.push(warning);

  constructor() {
    real.on('warning', this.note);
  }

  /** All until now. */
  async all(): Promise<Warning[]> {
    // They are told in a later turn.
    await nextTurn();
    return this.seen;
  }

  [Symbol.dispose](): void {
    real.off('warning', this.note);
  }
}

/** The process warnings that come while `work` runs. */
export async function warningsDuring(work: () => unknown): Promise<Warning[]> {
  using warnings = new Warnings();
  await work();
  return await warnings.all();
}
