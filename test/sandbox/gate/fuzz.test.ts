/** M1–M4, B1–B7 over random modules; R1–R3 over what is almost one. The long run is `npm run fuzz:gate`. */
import test from 'ava';
import { gateComponent } from '#runtime/sandbox/gate/gate';
import { FabricError } from '#schemas/fabric-error';
import { cases } from '../../rig/effort.ts';
import { campaign } from './fuzz/campaign.ts';
import { Choices } from './fuzz/choices.ts';
import { mutate } from './fuzz/mutants.ts';
import { echo, wat } from './guests.ts';

const SEED = Number(process.env['FUZZ_SEED'] ?? 1);
const MODULES = cases(200, 50);

test('metered modules do what they did, and take the same fuel on every tier', async (t) => {
  const { modules, compared, mutants } = await campaign(MODULES, SEED, () => {});
  t.is(modules, MODULES);
  t.deepEqual(compared, { default: MODULES, liftoff: MODULES, turbofan: MODULES / 10 });
  t.true(mutants.refused > 0 && mutants.passed > 0);
});

test('a mutant of a component is refused with an error of the gate, or let in', async (t) => {
  const bytes = await wat(echo());
  let refused = 0;
  for (let seed = SEED; seed < SEED + 150; seed += 1) {
    const outcome = await gateComponent(mutate(bytes, new Choices(seed))).catch((error: unknown) => error);
    if (!(outcome instanceof Error)) continue;
    t.true(outcome instanceof FabricError, `seed ${seed}: ${outcome.stack}`);
    refused += 1;
  }
  t.true(refused > 100);
});

test('noise is refused', async (t) => {
  const choices = new Choices(SEED);
  for (let count = 0; count < 200; count += 1) {
    const noise = Uint8Array.from({ length: choices.below(200) }, () => choices.below(256));
    if (choices.oneIn(2)) noise.set([0, 0x61, 0x73, 0x6d, 0x0d, 0, 1, 0].slice(0, noise.length));
    await t.throwsAsync(gateComponent(noise), { name: 'FabricError' });
  }
});
