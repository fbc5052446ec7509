import { it } from '@jest/globals';
import { campaignSuite } from '../suites/campaign-suite';

it('three servers: clients, links and servers fail, a hostile client writes what it may, and nothing is broken', async () => {
  await campaignSuite('r3', 90, 11);
}, 240_000);
