import { crowdManyProcesses } from './crowd-many-processes';
import { crowdOneProcess } from './crowd-one-process';
import { handOver } from './hand-over';
import { holding } from './holding';
import { local } from './local';
import { manySemaphores } from './many-semaphores';
import { mutex } from './mutex';
import { queueCost } from './queue-cost';
import { reAcquire } from './re-acquire';
import type { Scenario } from './scenario';
import { turns } from './turns';
import { uncontended } from './uncontended';

/** In the order in which they run and are shown. */
export const scenarios: readonly Scenario[] = [
  uncontended,
  handOver,
  turns,
  crowdOneProcess,
  crowdManyProcesses,
  queueCost,
  holding,
  manySemaphores,
  local,
  reAcquire,
  mutex,
];
