import { it } from '@jest/globals';
import { campaignSuite } from '../suites/campaign-suite';

it('one server: clients, links and the server fail, a hostile client writes what it may, and nothing is broken', async () => {
  await campaignSuite('r1', 90, 11);
}, 240_000);
