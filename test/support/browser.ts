import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect } from '@jest/globals';
import { type Browser, type BrowserContextOptions, type Page, chromium } from 'playwright-core';

/** As long as fetching the browser may take. */
const FETCH_MS = 600_000;

/**
 * A real headless Chromium for the tests of one file. Every page fails its test if it complains about anything, or asks anybody but
 * the sidecar.
 */
export function browser(): (url: string, options?: BrowserContextOptions) => Promise<Page> {
  let running: Browser | undefined;
  const complaints: string[] = [];
  beforeAll(async () => {
    const script = join(__dirname, '..', '..', 'scripts', 'chromium');
    const stdio = ['ignore', 'pipe', 'inherit'] as ['ignore', 'pipe', 'inherit'];
    const executablePath = execFileSync('bash', [script, 'path'], { stdio }).toString().trim();
    // Its own sandbox needs rights that a container or root does not have; it only shows what we serve.
    running = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
  }, FETCH_MS);
  afterAll(() => running?.close());
  afterEach(async () => {
    for (const context of running?.contexts() ?? []) await context.close();
    expect(complaints.splice(0)).toEqual([]);
  });
  return async (url, options) => {
    if (running === undefined) throw new Error('the browser is not there');
    const page = await running.newPage(options);
    const { origin } = new URL(url);
    page.on('pageerror', (error) => complaints.push(String(error)));
    page.on('console', (message) => {
      // That a request failed is said also where the page expects it.
      const expected = message.text().startsWith('Failed to load resource');
      if (message.type() === 'error' && !expected) complaints.push(message.text());
    });
    page.on('request', (request) => {
      if (!request.url().startsWith(origin)) complaints.push(`asked for ${request.url()}`);
    });
    await page.goto(url);
    return page;
  };
}
