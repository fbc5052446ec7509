import type { Row } from '../result';
import type { World } from '../world';

export interface Scenario {
  /** For `--only`. */
  readonly name: string;
  readonly title: string;
  /** What must be known to read its figures. */
  readonly note: string;
  /** Left out unless named by `--only`. */
  readonly onRequest?: boolean;
  run(world: World): Promise<Row[]>;
}
