import { latchSuite } from '../suites/latch-suite';
import { mutexSuites } from '../suites/mutex-suite';
import { readWriteSuite } from '../suites/read-write-suite';
import { semaphoreSuite } from '../suites/semaphore-suite';
import { memoryWorld } from '../support/memory-world';

semaphoreSuite('in memory', memoryWorld);
mutexSuites('in memory', memoryWorld);
readWriteSuite('in memory', memoryWorld);
latchSuite('in memory', memoryWorld);
