import { describe, expect, it } from '@jest/globals';
import { LocalDispatcher, NatsDispatcher } from '../../src';
import { startSidecar } from '../../src/sidecar';
import { TestServer } from '../../src/testing';
import { browser } from '../support/browser';
import { eventually } from '../support/eventually';
import { sidecarWorld } from '../support/sidecar-world';

const open = browser();
const world = sidecarWorld();

describe('the page', () => {
  it('shows slots, holders, the queue and the timeline, and follows a permit that moves', async () => {
    const { beside, server, sidecar } = world();
    await using other = await NatsDispatcher.connect({ servers: server.url, holder: 'other:2' });
    const permit = await beside.semaphore('reports', 1).acquire({ metadata: { job: 'q3' } });
    const waiting = other.semaphore('reports', 1, { fair: true }).acquire();
    const page = await open(sidecar.url);
    const row = page.locator('[data-key="semaphore/reports"]');
    await row.getByText('1 of 1 held').waitFor();
    await row.getByText('1 waiting', { exact: true }).waitFor();
    await row.locator('ul.people').getByText('beside').waitFor();
    await row.getByText('job: q3').waitFor();
    await row.locator('ol.people').getByText('other:2').waitFor();
    await page.getByText('Live').waitFor();
    expect(await row.locator('svg .span').count()).toBe(1);

    await permit.release();
    const next = await waiting;
    await row.locator('ul.people').getByText('other:2').waitFor();
    await row.getByText('Nobody queues.').waitFor();
    await eventually(async () => expect(await row.locator('svg .span').count()).toBe(2));
    await next.release();
    await row.getByText('0 of 1 held').waitFor();
    await row.locator('.cell:not(.held)').waitFor();
  });

  it('releases by force, once that is confirmed', async () => {
    const { beside, sidecar } = world();
    const permit = await beside.mutex('migration').acquire();
    const page = await open(sidecar.url);
    const row = page.locator('[data-key="mutex/migration"]');
    const ask = row.getByRole('button', { name: 'Release…' });
    await ask.click();
    await page.getByRole('dialog').getByText('beside').waitFor();
    await page.getByRole('button', { name: 'Cancel' }).click();
    await page.getByRole('dialog').waitFor({ state: 'detached' });
    expect(permit.isHeld).toBe(true);

    await ask.click();
    await page.getByRole('button', { name: 'Release by force' }).click();
    await page.getByText('Taken from beside.').waitFor();
    await row.getByText('0 of 1 held').waitFor();
    await eventually(() => expect(permit.isHeld).toBe(false));
  });

  it('says when the server is out of reach, and goes on when it is back', async () => {
    const { beside, server, sidecar } = world();
    const page = await open(sidecar.url);
    await page.getByText('Live').waitFor();
    await server.kill();
    await page.getByRole('alert').getByText('The NATS server is out of reach.').waitFor();
    await page.getByText('Not live').waitFor();
    await server.restart();
    await page.getByText('Live', { exact: true }).waitFor();
    await using permit = await beside.semaphore('after', 2).acquire({ timeout: 20_000 });
    await page.locator('[data-key="semaphore/after"]').getByText('1 of 2 held').waitFor();
    expect(permit.isHeld).toBe(true);
  });

  it('can be used on a phone: nothing is wider than the screen', async () => {
    const { beside, sidecar } = world();
    await using permit = await beside.semaphore('a-name-that-goes-on-and-on/'.repeat(4), 30).acquire();
    const page = await open(sidecar.url, { viewport: { width: 360, height: 700 }, hasTouch: true });
    await page.locator('.row').first().waitFor();
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(360);
    await page.getByPlaceholder('Filter').fill('goes-on');
    await eventually(async () => expect(await page.locator('.row').count()).toBe(1));
    expect(permit.isHeld).toBe(true);
  });

  it('draws 500 semaphores, and a change of the last of them', async () => {
    const { beside, sidecar } = world();
    for (let first = 0; first < 500; first += 100) {
      const some = Array.from({ length: 100 }, (_, n) => beside.semaphore(`many-${first + n}`).setPermits(3));
      await Promise.all(some);
    }
    const page = await open(sidecar.url);
    await eventually(async () =>
      expect(await page.locator('[data-key^="semaphore/many-"]').count()).toBe(500),
    );
    await using permit = await beside.semaphore('many-499').acquire();
    const last = page.locator('[data-key="semaphore/many-499"]');
    await last.getByText('1 of 3 held').waitFor();
    await last.getByRole('button').click();
    await last.locator('ul.people').getByText('beside').waitFor();
    expect(permit.isHeld).toBe(true);
  });
});

it('says what to do while there is nothing', async () => {
  await using dispatcher = new LocalDispatcher();
  await using sidecar = await startSidecar({ dispatcher, port: 0, drainTimeout: 0 });
  const page = await open(sidecar.url);
  await page.getByText('No semaphores yet').waitFor();
  const permit = await dispatcher.semaphore('first', 2).acquire();
  await page.locator('[data-key="semaphore/first"]').waitFor();
  await permit.release();
});

it('asks for the token, and takes it from the address', async () => {
  await using dispatcher = new LocalDispatcher();
  const token = 'a-token-of-some-length';
  await using sidecar = await startSidecar({ dispatcher, port: 0, drainTimeout: 0, token });
  const page = await open(sidecar.url);
  await page.getByLabel('Token').fill('something-else-entirely');
  await page.getByRole('button', { name: 'Show' }).click();
  await page.getByText('The one given is not the right one.').waitFor();
  await page.getByLabel('Token').fill(token);
  await page.getByRole('button', { name: 'Show' }).click();
  await page.getByText('No semaphores yet').waitFor();

  const other = await open(`${sidecar.url}/#token=${token}`);
  await other.getByText('No semaphores yet').waitFor();
  expect(other.url()).not.toContain(token);

  // An address that only differs behind the `#` does not load the page anew.
  const asking = await open(sidecar.url);
  await asking.getByLabel('Token').waitFor();
  await asking.goto(`${sidecar.url}/#token=${token}`);
  await asking.getByText('No semaphores yet').waitFor();
  expect(asking.url()).not.toContain(token);
});

it('has nothing to release by force with where that is left out', async () => {
  await using dispatcher = new LocalDispatcher();
  await using sidecar = await startSidecar({ dispatcher, port: 0, drainTimeout: 0, operator: false });
  await using permit = await dispatcher.mutex('kept').acquire();
  const page = await open(sidecar.url);
  await page.locator('[data-key="mutex/kept"]').getByText('1 of 1 held').waitFor();
  await page.getByText('held for').waitFor();
  expect(await page.getByRole('button', { name: 'Release…' }).count()).toBe(0);
  expect(permit.isHeld).toBe(true);
});

it('says when the sidecar does not answer, and goes on when it does again', async () => {
  await using server = await TestServer.start();
  const first = await startSidecar({ connect: { servers: server.url }, port: 0, drainTimeout: 0 });
  const page = await open(first.url);
  await page.getByText('Live').waitFor();
  await first.close();
  await page.getByText('The sidecar does not answer.').waitFor();
  const port = Number(new URL(first.url).port);
  await using second = await startSidecar({ connect: { servers: server.url }, port, drainTimeout: 0 });
  await page.getByText('Live', { exact: true }).waitFor();
  expect(second.url).toBe(first.url);
});
