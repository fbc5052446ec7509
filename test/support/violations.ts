import { readFileSync } from 'node:fs';
import type { TestServer } from '../../src/testing';

/** What the server logged about users who did what they may not, without times and addresses. */
export function violations(server: TestServer): string[] {
  const lines = readFileSync(server.logFile, 'utf8').split('\n');
  return lines.flatMap((line) => /(?:Publish|Subscription) Violation.*$/.exec(line)?.[0] ?? []);
}
