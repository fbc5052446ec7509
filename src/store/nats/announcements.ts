import { newId } from '../../runtime/id';
import type { Listener } from '../store';
import type { Subscription } from './connection';
import type { Link } from './link';
import { type BucketNames, messageToEntry } from './wire';

/**
 * A subject under which only the stream of this bucket announces its changes. Announcements are plain messages, which cross leaf
 * nodes: changes of a bucket with the same name in another JetStream domain must not count as changes of this one.
 */
export function newDestination(bucket: string): string {
  return `$SEMAPHORE.${bucket}.${newId()}.>`;
}

/** Whether a subject is such a destination: one token of 16 characters or more follows the bucket's name. */
export function isDestination(subject: string, bucket: string): boolean {
  const prefix = `$SEMAPHORE.${bucket}.`;
  return subject.startsWith(prefix) && /^[A-Za-z0-9_-]{16,128}\.>$/.test(subject.slice(prefix.length));
}

interface Listening {
  readonly patterns: readonly string[];
  readonly listener: Listener;
  subscriptions: readonly Subscription[];
}

/**
 * The listeners of the bucket. They are subscribed once the bucket is open, since its destination is known only then, and
 * subscribed again when the destination changes.
 */
export class Announcements {
  private readonly listening = new Set<Listening>();
  private destination: string | undefined;

  constructor(
    private readonly link: Link,
    private readonly names: BucketNames,
  ) {}

  /** Passes changes to the listener from now on, or from the moment the bucket is open. The returned function ends it. */
  listen(patterns: readonly string[], listener: Listener): () => void {
    const each: Listening = { patterns, listener, subscriptions: [] };
    this.listening.add(each);
    this.subscribe(each);
    return () => {
      if (this.listening.delete(each)) this.unsubscribe(each);
    };
  }

  /** Follows a new destination, under which the bucket announces its changes from now on. */
  follow(destination: string): void {
    const before = this.destination;
    if (before === destination) return;
    this.destination = destination;
    for (const each of this.listening) {
      this.unsubscribe(each);
      this.subscribe(each);
    }
    if (before !== undefined) this.interrupt();
  }

  /** Tells all listeners that changes may have been missed. */
  interrupt(): void {
    for (const { listener } of [...this.listening]) listener.interrupted();
  }

  close(): void {
    for (const each of this.listening) this.unsubscribe(each);
    this.listening.clear();
  }

  private subscribe(each: Listening): void {
    if (this.destination === undefined) return;
    const prefix = this.destination.slice(0, -1);
    each.subscriptions = each.patterns.map((pattern) =>
      this.link.subscribe(prefix + pattern, (message) => {
        // The server announces an entry under its own key. A message that names another key did not come from the stream.
        const announced = message.subject.slice(prefix.length);
        const entry = messageToEntry(this.names, message, (key) => key === announced);
        if (entry !== undefined && this.listening.has(each)) each.listener.changed(entry);
      }),
    );
  }

  private unsubscribe(each: Listening): void {
    const ended = each.subscriptions;
    each.subscriptions = [];
    if (this.link.connection.isClosed()) return;
    for (const subscription of ended) subscription.unsubscribe();
  }
}
