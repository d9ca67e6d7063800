/**
 * `npm run fuzz:gate -- --modules N --seed S`: random core modules, plain against metered, and the metered ones on
 * the tiers of the engine; then as many mutants. Ends with 1 at the first difference.
 */
import { parseArgs } from 'node:util';
import { campaign, serveOrders } from './campaign.ts';

const { values: flags } = parseArgs({
  options: {
    modules: { type: 'string', default: '1000' },
    seed: { type: 'string', default: '1' },
    engine: { type: 'boolean', default: false },
  },
});

if (flags.engine) serveOrders();
else {
  const tally = await campaign(Number(flags.modules), Number(flags.seed), ({ modules }) => {
    process.stderr.write(`\r${modules} modules`);
  });
  process.stdout.write(`\n${JSON.stringify({ seed: Number(flags.seed), mismatches: 0, ...tally })}\n`);
}
