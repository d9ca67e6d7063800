/** `chassis run`: a guest here, as it would run in a realm. */
import { type Command, Option } from 'commander';
import { declare, handle, type Shell } from '#runtime/cli/command';
import { EXIT } from '#runtime/cli/exit-codes';
import { bytesOf } from '../blobs.ts';
import { LocalRealm } from '../local.ts';
import { type HereOptions, inputBytes, withGuest, withHere } from './here.ts';
import { putOut, runLine, words } from './say.ts';

interface Options extends HereOptions {
  readonly input: string;
}

export function runCommand(shell: Shell): Command {
  const command = declare({
    name: 'run',
    summary: 'run a guest here, with the limits and the jail of a realm',
    description:
      'Runs a guest once, under the limits of its contract and in the jail of this machine. Events and keys stay here; asks and requests have nobody to answer them. Output goes to stdout, the record to stderr.',
    group: 'Work',
    examples: [
      ["infrafabric chassis run word-count --input 'to be or not to be'", 'with a text'],
      [
        'infrafabric chassis run word-count --input @hamlet.txt --require full',
        'with a file, and every layer of the jail',
      ],
    ],
  })
    .argument('[dir]', 'folder of the guest', '.')
    .addOption(new Option('--input <text>', 'what it is given; @file for a file').default('', 'nothing'));
  return handle<[string], Options>(shell, withHere(command), async (run, dir) => {
    const { io, out, options } = run;
    return await withGuest(run, dir, async ({ chamber, contract, component, grant }) => {
      const realm = new LocalRealm(chamber, component);
      const input = inputBytes(options.input, io.cwd);
      const { limits } = contract;
      const done = await realm.run({
        input,
        limits,
        grant,
        seed: options.seed,
        at: Date.now(),
        signal: io.signal,
      });
      io.signal.throwIfAborted();
      const output = done.output === null ? undefined : await bytesOf(realm.floor.blobs, done.output);
      out.data({ ...done, events: realm.events });
      if (output !== undefined) putOut(output, io, out);
      for (const line of done.logs) out.note(`${out.palette.faint('log')} ${words(line)}`);
      for (const { name, body } of realm.events)
        out.note(`${out.palette.faint('event')} ${name} ${words(body)}`);
      out.note(runLine(done, out));
      return done.exit === 'done' ? EXIT.ok : EXIT.failure;
    });
  });
}
