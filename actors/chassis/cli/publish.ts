/** `chassis publish`: a component and its contract into the realm. */
import { hash } from 'node:crypto';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { type ActingOptions, withActing } from '#actors/coordinator/cli/with-desk';
import { declare, handle, type Shell } from '#runtime/cli/command';
import { EXIT } from '#runtime/cli/exit-codes';
import { componentName } from '#schemas/sandbox';
import { openChamber } from '../chamber.ts';
import { builtGuest } from './here.ts';
import { componentAddress, withChassis } from './realm.ts';
import { tellMissing } from './say.ts';

export function publishCommand(shell: Shell): Command {
  const command = declare({
    name: 'publish',
    summary: 'publish a component with its contract, or a newer version of it',
    description:
      'Checks a component as the realm does, stores it under its SHA-256, and brings its contract into force. Other bytes or another contract want a higher version.',
    group: 'Work',
    examples: [['infrafabric chassis publish word-count', 'tasks can be submitted from then on']],
  }).argument('[dir]', 'folder of the guest', '.');
  return handle<[string], ActingOptions>(shell, withActing(command), async (run, dir) => {
    const { io, out } = run;
    const { guest, bytes } = await builtGuest(resolve(io.cwd, dir));
    {
      await using chamber = await openChamber({ require: 'any', places: 1 });
      tellMissing(chamber.layers, out);
      await chamber.gate(bytes);
    }
    const { contract } = guest;
    const sha256 = hash('sha256', bytes);
    return await withChassis(run, async (chassis) => {
      await (await chassis.blobs()).put(componentName(sha256), bytes);
      const published = { type: 'component.publish', contract, sha256, bytes: bytes.byteLength };
      await chassis.say(componentAddress(contract.name), published);
      const { name, version } = contract;
      out.data({ ok: true, component: name, version, sha256, bytes: bytes.byteLength });
      out.lines([`${out.palette.good('✓')} component/${name} ${version}  ${sha256.slice(0, 12)}`]);
      return EXIT.ok;
    });
  });
}
