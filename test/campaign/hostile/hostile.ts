/**
 * The hostile client of the campaign, with the rights of a worker. Sends what `attacks.ts` makes until it is told to finish, and
 * writes down what it sent and what the server made of it.
 */
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { monotonicMs } from '../../support/monotonic';
import { randomFrom, within } from '../../support/random';
import type { Order } from '../client';
import { type HostileLine, LineFile } from '../history';
import { WORKER } from '../worker-rights';
import { Attacks, type Shot } from './attacks';
import { Forgery } from './forgery';
import { Knowledge } from './knowledge';
import { RawConnection } from './raw-connection';

export interface HostileSetup {
  readonly log: string;
  readonly servers: readonly string[];
  readonly bucket: string;
  readonly seed: number;
}

const TICK_MS = 100;
/** Of a tick. */
const SHOTS: readonly [number, number] = [2, 6];
/** Bursts, oversized messages: how often, of ticks. */
const WRITE_FLOOD = 0.02;
const READ_FLOOD = 0.03;
const OVERSIZED = 0.04;
const FLOOD = { writes: 120, reads: 40 };
/** What the server has not taken of it by then is not made more. */
const MAX_WAITING = 1_000_000;
const TELL_EVERY_TICKS = 10;
const INBOX = '_INBOX_WORKER.hostile';

const setup = JSON.parse(process.argv[2] ?? '{}') as HostileSetup;
const file = new LineFile<HostileLine>(setup.log);
const random = randomFrom(setup.seed);
const knowledge = new Knowledge(setup.bucket);
const attacks = new Attacks(new Forgery(random, setup.bucket), knowledge, setup.bucket, INBOX);
const sent: Record<string, number> = {};
const answers: Record<string, number> = {};
let finishing = false;
let resting = false;

async function main(): Promise<void> {
  const orders = createInterface({ input: process.stdin });
  orders.on('line', (order: Order) => {
    resting = order === 'rest';
    if (order === 'finish') finishing = true;
  });
  // The process that started it is gone.
  orders.on('close', () => {
    if (!finishing) process.exit(1);
  });
  while (!finishing) {
    const url = setup.servers[within(random, 0, setup.servers.length - 1)] ?? '';
    const connection = await RawConnection.open(url, WORKER, [`${INBOX}`, `$SEMAPHORE.${setup.bucket}.>`], {
      message: hear,
      refused: (error) => count(answers, wordsOf(error)),
    });
    let over = false;
    void connection.closed.then(() => (over = true));
    for (let tick = 1; !over && !finishing; tick++) {
      if (!resting && connection.waiting < MAX_WAITING) attack(connection);
      if (tick % TELL_EVERY_TICKS === 0) tell();
      await sleep(TICK_MS);
    }
    connection.close();
    await sleep(TICK_MS);
  }
  tell();
  orders.close();
  process.stdin.destroy();
}

function attack(connection: RawConnection): void {
  const shots: Shot[] = [
    ...Array.from({ length: within(random, ...SHOTS) }, () => attacks.next()),
    ...attacks.occupying(TICK_MS),
    ...(random() < WRITE_FLOOD ? attacks.writeFlood(FLOOD.writes) : []),
    ...(random() < READ_FLOOD ? attacks.readFlood(FLOOD.reads) : []),
    ...(random() < OVERSIZED ? [attacks.oversized()] : []),
  ];
  for (const { kind, message } of shots) {
    count(sent, kind);
    connection.send(message);
  }
}

function hear(subject: string, headers: string, body: Buffer): void {
  if (subject !== INBOX) return knowledge.hear(subject, headers, body);
  count(answers, meaningOf(headers, body));
}

/** What an answer says: that a write was stored, or why not, or what was read. */
function meaningOf(headers: string, body: Buffer): string {
  const status = /^NATS\/1\.0 (\d{3})/.exec(headers)?.[1];
  if (headers !== '')
    return status === undefined || headers.includes('Nats-Subject:') ? 'entry read' : `status ${status}`;
  const text = body.toString();
  const code = /"err_code":(\d+)/.exec(text)?.[1];
  if (code !== undefined) return `refused, ${code}`;
  return text.includes('"seq":') && text.startsWith('{"stream"') ? 'stored' : 'read';
}

/** What the server refused, without ids. */
function wordsOf(error: string): string {
  const subject = /Publish to "([^"]*)"/.exec(error)?.[1];
  if (subject === undefined) return error.replaceAll("'", '');
  const words = subject.split('.');
  if (subject.startsWith('$SEMAPHORE.')) return 'may not publish: announcement';
  if (subject.startsWith('$JS.EVENT.')) return 'may not publish: advisory';
  if (subject.startsWith('$JS.API.')) return `may not publish: ${words.slice(2, -1).join('.')}`;
  return `may not publish: ${words.length > 3 ? words.at(-1) : 'another key'}`;
}

function count(tally: Record<string, number>, what: string): void {
  tally[what] = (tally[what] ?? 0) + 1;
}

function tell(): void {
  knowledge.forgetOld();
  file.add({ at: monotonicMs(), sent, answers });
}

void main();
