/** `chassis check`: would the gate let it in? */
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { declare, handle, type Shell } from '#runtime/cli/command';
import { EXIT } from '#runtime/cli/exit-codes';
import { openChamber } from '../chamber.ts';
import { builtGuest } from './here.ts';
import { count, tellMissing } from './say.ts';

export function checkCommand(shell: Shell): Command {
  const command = declare({
    name: 'check',
    summary: 'check a guest and its contract as a realm would: nothing of it runs',
    group: 'Work',
    examples: [['infrafabric chassis check word-count', 'what it imports, and what it came to']],
  }).argument('[dir]', 'folder of the guest', '.');
  return handle<[string], object>(shell, command, async ({ io, out }, dir) => {
    const { guest, bytes } = await builtGuest(resolve(io.cwd, dir));
    await using chamber = await openChamber({ require: 'any', places: 1 });
    tellMissing(chamber.layers, out);
    const { sha256, imports, exports, stats, cores } = await chamber.gate(bytes);
    const { name, version } = guest.contract;
    out.data({ ok: true, name, version, sha256, imports, exports, stats });
    out.lines([
      `${out.palette.good('✓')} ${name} ${version}  ${sha256.slice(0, 12)}`,
      `  imports   ${imports.join(', ') || 'nothing'}`,
      `  exports   ${exports.join(', ')}`,
      `  size      ${count(stats.bytes)} bytes, ${count(stats.gatedBytes)} with its meter, ${cores.length} core modules`,
      `  code      ${count(stats.functions)} functions, ${count(stats.instructions)} instructions`,
    ]);
    return EXIT.ok;
  });
}
