import type { Clock } from '../core/clock';
import type { Drain } from './drain';
import type { Hub } from './hub';
import type { Metrics } from './metrics';
import type { Backend, Settings } from './options';
import type { Permits } from './permits';
import type { Sessions } from './sessions';
import type { Streams } from './sse';

/** What the routes of one sidecar share. */
export interface SidecarContext {
  readonly dispatcher: Backend;
  readonly clock: Clock;
  readonly settings: Settings;
  readonly permits: Permits;
  readonly sessions: Sessions;
  readonly hub: Hub;
  readonly streams: Streams;
  readonly drain: Drain;
  readonly metrics: Metrics;
}
