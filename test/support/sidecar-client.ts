import { type ClientRequest, type IncomingMessage, request } from 'node:http';
import { createParser } from 'eventsource-parser';
import { eventually } from './eventually';

export interface Answer<T = Record<string, unknown>> {
  readonly status: number;
  readonly type: string;
  readonly body: T;
}

/** A problem as callers see it. */
export interface ProblemBody {
  readonly status: number;
  readonly code: string;
  readonly detail: string;
  readonly errors?: { readonly field: string; readonly message: string }[];
}

/** A caller of a sidecar, over real HTTP. */
export class SidecarClient {
  constructor(
    readonly url: string,
    private readonly headers: Record<string, string> = {},
  ) {}

  async call<T = Record<string, unknown>>(method: string, path: string, body?: unknown): Promise<Answer<T>> {
    const sent = body === undefined ? undefined : JSON.stringify(body);
    const response = await fetch(this.url + path, {
      method,
      headers: { ...(sent !== undefined && { 'content-type': 'application/json' }), ...this.headers },
      body: sent,
    });
    const text = await response.text();
    const type = response.headers.get('content-type') ?? '';
    return { status: response.status, type, body: (type.includes('json') ? JSON.parse(text) : text) as T };
  }

  get<T = Record<string, unknown>>(path: string): Promise<Answer<T>> {
    return this.call<T>('GET', path);
  }

  post<T = Record<string, unknown>>(path: string, body: unknown = {}): Promise<Answer<T>> {
    return this.call<T>('POST', path, body);
  }

  /** A request that can be hung up on. Headers may be ones that `fetch` keeps for itself. */
  begin(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): OpenRequest {
    const sent = body === undefined ? undefined : JSON.stringify(body);
    const type = sent === undefined ? {} : { 'content-type': 'application/json' };
    const made = request(this.url + path, {
      method,
      agent: false,
      headers: { ...type, ...this.headers, ...headers },
    });
    made.end(sent);
    return new OpenRequest(made);
  }

  stream(path: string): EventReader {
    return new EventReader(this.begin('GET', path));
  }
}

export class OpenRequest {
  readonly response: Promise<IncomingMessage>;

  constructor(private readonly made: ClientRequest) {
    this.response = new Promise((resolve, reject) => {
      made.once('response', resolve);
      made.once('error', reject);
      made.once('close', () => reject(new Error('closed')));
    });
    this.response.catch(() => undefined);
    made.on('error', () => undefined);
  }

  hangUp(): void {
    this.made.destroy();
  }

  async status(): Promise<number> {
    const response = await this.response;
    response.resume();
    return response.statusCode ?? 0;
  }
}

/** What an event stream says. */
export class EventReader {
  readonly events: { readonly name: string; readonly data: unknown }[] = [];
  /** Resolves when it is over, whoever ended it. */
  readonly ended: Promise<void>;

  constructor(private readonly open: OpenRequest) {
    const parser = createParser({
      onEvent: ({ event, data }) =>
        this.events.push({ name: event ?? 'message', data: JSON.parse(data) as unknown }),
    });
    this.ended = open.response.then(
      (response) =>
        new Promise((resolve) => {
          response.setEncoding('utf8');
          response.on('data', (text: string) => parser.feed(text));
          response.on('error', () => undefined);
          response.once('close', () => resolve());
        }),
      () => undefined,
    );
  }

  /** The first event of that name for which `matches` holds, past or to come. */
  async event<T>(name: string, matches: (data: T) => boolean = () => true): Promise<T> {
    let found: T | undefined;
    await eventually(() => {
      found = this.events.find((event) => event.name === name && matches(event.data as T))?.data as
        T | undefined;
      if (found === undefined)
        throw new Error(`no such event "${name}" among ${JSON.stringify(this.events)}`);
    });
    return found as T;
  }

  hangUp(): void {
    this.open.hangUp();
  }
}
