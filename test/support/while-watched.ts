/** What has a view that is kept up to date. */
interface Watched {
  watch(): AsyncIterable<unknown>;
}

/**
 * Does something while primitives are watched. All that is to be known of them has been heard by then: who runs out of time
 * does so because of others, however short the time and slow the server, and is told that.
 */
export async function whileWatched<T>(watched: readonly Watched[], work: () => Promise<T>): Promise<T> {
  const views = watched.map((each) => each.watch()[Symbol.asyncIterator]());
  await Promise.all(views.map((view) => view.next()));
  try {
    return await work();
  } finally {
    for (const view of views) await view.return?.();
  }
}
