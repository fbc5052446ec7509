import type { TestServer } from '../../src/testing';

interface Jsz {
  consumers: number;
  account_details?: { stream_detail?: { name: string; state: { last_seq: number } }[] }[];
}

interface Varz {
  jetstream: { stats: { api: { total: number; errors: number } } };
}

interface Connz {
  connections: {
    cid: number;
    kind: string;
    lang: string;
    in_msgs: number;
    name?: string;
    subscriptions_list?: string[];
  }[];
}

/** What a server has counted, read from its monitoring endpoint: looking does not count. */
export interface ServerCounts {
  /** Last sequence of the bucket's stream: one more for every write that was stored. */
  readonly stored: number;
  /** Requests to the JetStream API. */
  readonly api: number;
  /** Messages that the one client has sent. */
  readonly sent: number;
}

/** Counts of a server that has one bucket and one client besides those of `others`. */
export async function serverCounts(server: TestServer, others = 0): Promise<ServerCounts> {
  const [jsz, varz, clients] = await Promise.all([
    server.monitor<Jsz>('jsz?accounts=true&streams=true'),
    server.monitor<Varz>('varz'),
    connections(server),
  ]);
  if (clients.length !== others + 1) throw new Error(`there are ${clients.length} connections`);
  return {
    stored: lastSequence(jsz),
    api: varz.jetstream.stats.api.total,
    sent: clients.at(-1)!.in_msgs,
  };
}

/** What a server has counted of one bucket and of all clients together. */
export interface Totals {
  /** Last sequence of the bucket's stream. */
  readonly stored: number;
  /** Requests to the JetStream API. */
  readonly api: number;
  /** Messages that clients have sent. */
  readonly sent: number;
}

export async function totals(server: TestServer): Promise<Totals> {
  const [jsz, varz, clients] = await Promise.all([
    server.monitor<Jsz>('jsz?accounts=true&streams=true'),
    server.monitor<Varz>('varz'),
    connections(server),
  ]);
  return {
    stored: lastSequence(jsz),
    api: varz.jetstream.stats.api.total,
    sent: clients.reduce((sum, client) => sum + client.in_msgs, 0),
  };
}

function lastSequence(jsz: Jsz): number {
  const streams = jsz.account_details?.flatMap((account) => account.stream_detail ?? []) ?? [];
  return streams[0]?.state.last_seq ?? 0;
}

/** Its clients, without the leaf nodes that are listed beside them. */
export async function connections(server: TestServer): Promise<Connz['connections']> {
  const { connections: all } = await server.monitor<Connz>('connz?subs=true');
  return all.filter(({ kind }) => kind === 'Client').sort((a, b) => a.cid - b.cid);
}

export async function consumerCount(server: TestServer): Promise<number> {
  return (await server.monitor<Jsz>('jsz?accounts=true&streams=true&consumers=true')).consumers;
}

export function difference(after: ServerCounts, before: ServerCounts): ServerCounts {
  return {
    stored: after.stored - before.stored,
    api: after.api - before.api,
    sent: after.sent - before.sent,
  };
}
