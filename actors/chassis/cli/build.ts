/** `chassis build`: a component of its source. */
import { relative, resolve } from 'node:path';
import type { Command } from 'commander';
import { declare, handle, type Shell } from '#runtime/cli/command';
import { EXIT } from '#runtime/cli/exit-codes';
import { buildGuest } from '../guests/build.ts';
import { openGuest } from '../guests/folder.ts';
import { count } from './say.ts';

export function buildCommand(shell: Shell): Command {
  const command = declare({
    name: 'build',
    summary: 'build the component of a guest from its source',
    description:
      'Builds guest.wat (nothing to install), guest.c (clang and lld, no SDK) or guest.js (@bytecodealliance/componentize-js) for the world infrafabric:task/task.',
    group: 'Work',
    examples: [['infrafabric chassis build word-count', 'writes word-count/word-count.wasm']],
  }).argument('[dir]', 'folder of the guest', '.');
  return handle<[string], object>(shell, command, async ({ io, out }, dir) => {
    const guest = openGuest(resolve(io.cwd, dir));
    const bytes = await buildGuest(guest);
    const file = relative(io.cwd, guest.component);
    out.data({ file, bytes: bytes.byteLength });
    out.lines([`${out.palette.good('✓')} ${file}  ${count(bytes.byteLength)} bytes`]);
    return EXIT.ok;
  });
}
