import type { Clock } from '../runtime/clock';
import type { Drain } from './drain';
import type { Hub } from './hub';
import type { Metrics } from './metrics';
import type { Backend, Settings } from './options';
import type { Permits } from './permits';
import type { Reach } from './reach';
import type { Sessions } from './sessions';
import type { Streams } from './sse';
import type { StatusFeeds } from './status-feeds';
import type { Waiters } from './waiters';

/** What the routes of one sidecar share. */
export interface SidecarContext {
  readonly dispatcher: Backend;
  readonly clock: Clock;
  readonly settings: Settings;
  readonly permits: Permits;
  readonly sessions: Sessions;
  readonly hub: Hub;
  readonly streams: Streams;
  readonly feeds: StatusFeeds;
  readonly reach: Reach;
  readonly waiters: Waiters;
  readonly drain: Drain;
  readonly metrics: Metrics;
}
