import { createParser } from 'eventsource-parser';

/** What happens on a stream, as its reader is told. */
export interface StreamReader {
  event(name: string, data: unknown): void;
  /** It has ended, or could not be begun; another try follows. */
  lost(): void;
  /** The sidecar wants a token, or another one. No other try follows. */
  refused(): void;
}

/** The sidecar says something every 10 s. */
const SILENCE_MS = 25_000;
const RETRY_MS = 1_000;

/**
 * Reads an event stream for ever, beginning anew whenever it ends. Not an `EventSource`: that can not send a token, and does not
 * notice that the other side has gone silent. Returns how to stop.
 */
export function follow(url: string, headers: () => Record<string, string>, reader: StreamReader): () => void {
  const stop = new AbortController();
  void (async () => {
    while (!stop.signal.aborted) {
      const refused = await readOnce(url, headers(), reader, stop.signal).catch(() => false);
      if (stop.signal.aborted) return;
      if (refused) return reader.refused();
      reader.lost();
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  })();
  return () => stop.abort();
}

async function readOnce(
  url: string,
  headers: Record<string, string>,
  reader: StreamReader,
  stopped: AbortSignal,
): Promise<boolean> {
  const silent = new AbortController();
  const giveUp = (): void => silent.abort();
  let watchdog = setTimeout(giveUp, SILENCE_MS);
  stopped.addEventListener('abort', giveUp, { once: true });
  try {
    const response = await fetch(url, { headers, signal: silent.signal });
    if (response.status === 401) return true;
    if (!response.ok || response.body === null) return false;
    const parser = createParser({
      onEvent: ({ event, data }) => reader.event(event ?? 'message', JSON.parse(data)),
    });
    const text = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { done, value } = await text.read();
      if (done) return false;
      clearTimeout(watchdog);
      watchdog = setTimeout(giveUp, SILENCE_MS);
      parser.feed(value);
    }
  } finally {
    clearTimeout(watchdog);
    stopped.removeEventListener('abort', giveUp);
  }
}
