import { it } from '@jest/globals';
import { campaignSuite } from '../suites/campaign-suite';

it('one server: clients, links and the server fail, and nothing is broken', async () => {
  await campaignSuite('r1', 90, 11);
}, 240_000);
