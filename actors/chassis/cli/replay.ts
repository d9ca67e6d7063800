/** `chassis replay`: proves that a run gave what its component, input, seed and answers give. */
import type { Command } from 'commander';
import { type ActingOptions, withActing } from '#actors/coordinator/cli/with-desk';
import { declare, handle, type Shell } from '#runtime/cli/command';
import { EXIT } from '#runtime/cli/exit-codes';
import { FabricError } from '#schemas/fabric-error';
import { componentName, SANDBOX_TYPE } from '#schemas/sandbox';
import { storedBytes } from '../blobs.ts';
import { levelOf, openChamber } from '../chamber.ts';
import { chassisErrors } from '../errors.ts';
import { type Floor, rerun } from '../run.ts';
import { taskAddress, withChassis } from './realm.ts';
import { count, tellMissing } from './say.ts';

/** What a run again has to agree in. */
const COMPARED = ['exit', 'outputSha256', 'fuel', 'hostCalls'] as const;

export function replayCommand(shell: Shell): Command {
  const command = declare({
    name: 'replay',
    summary: 'run a task again and compare: output, fuel, calls',
    description:
      'Runs the last attempt of a task again in a jail of this machine, with the component, input, seed, clock and answers that are recorded. Nothing of the world is asked. Ends with exit code 1 where anything differs.',
    group: 'Work',
    examples: [['infrafabric chassis replay sandbox/word-count.1', 'does it give the same?']],
  }).argument('<task>', 'sandbox/ID');
  return handle<[string], ActingOptions>(shell, withActing(command), async (run, id) => {
    const { io, out } = run;
    return await withChassis(run, async (chassis) => {
      const address = taskAddress(id);
      const { task, run: before, status } = await chassis.task(address);
      if (task === null || before === null) {
        throw new FabricError(
          chassisErrors.sandbox_not_run,
          `${address} is ${status}, and no run of it has ended`,
        );
      }
      const blobs = await chassis.blobs();
      await using chamber = await openChamber({ require: 'any', places: 1 });
      tellMissing(chamber.layers, out);
      const floor: Floor = {
        blobs,
        level: levelOf(chamber.layers),
        world: { answer: () => Promise.reject(new Error('invariant: a replay asks nobody')) },
        component: async (sha256) =>
          await chamber.gate(await storedBytes(blobs, componentName(sha256), sha256)),
        run: (order) => chamber.run(order),
      };
      const order = { id: address.slice(SANDBOX_TYPE.length + 1), task, at: before.at, signal: io.signal };
      const again = await rerun(order, before, floor);
      const differs = COMPARED.filter((field) => again[field] !== before[field]);
      out.data({
        ok: differs.length === 0,
        task: address,
        differs,
        before: pick(before),
        again: pick(again),
      });
      const { good, bad } = out.palette;
      out.lines(
        differs.length === 0
          ? [
              `${good('✓')} ${address} gives the same: ${again.exit}, fuel ${count(again.fuel)}, ${again.hostCalls} calls, output ${again.outputSha256?.slice(0, 12) ?? 'none'}`,
            ]
          : differs.map((field) => `${bad('✗')} ${field} was ${before[field]}, and is ${again[field]}`),
      );
      return differs.length === 0 ? EXIT.ok : EXIT.failure;
    });
  });
}

function pick(run: { readonly [Field in (typeof COMPARED)[number]]: unknown }) {
  return Object.fromEntries(COMPARED.map((field) => [field, run[field]]));
}
