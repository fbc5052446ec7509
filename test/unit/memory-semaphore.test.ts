import { latchSuite } from '../suites/latch-suite';
import { mutexSuites } from '../suites/mutex-suite';
import { readWriteSuite } from '../suites/read-write-suite';
import { semaphoreSuite } from '../suites/semaphore-suite';
import { removalSuite } from '../suites/removal-suite';
import { signalSuite } from '../suites/signal-suite';
import { memoryWorld } from '../support/memory-world';

semaphoreSuite('in memory', memoryWorld);
mutexSuites('in memory', memoryWorld);
semaphoreSuite('in memory, slots retained', () => memoryWorld({ retain: 300 }));
mutexSuites('in memory, slots retained', () => memoryWorld({ retain: 300 }));
readWriteSuite('in memory', memoryWorld);
latchSuite('in memory', memoryWorld);
signalSuite('in memory', memoryWorld);
removalSuite('in memory', memoryWorld);
