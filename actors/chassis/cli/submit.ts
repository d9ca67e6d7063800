/** `chassis submit`: a task for a component. */
import { randomInt } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { type Command, Option } from 'commander';
import { type ActingOptions, withActing } from '#actors/coordinator/cli/with-desk';
import { declare, handle, type Shell, wholeNumber } from '#runtime/cli/command';
import { EXIT } from '#runtime/cli/exit-codes';
import { FabricError } from '#schemas/fabric-error';
import type { SandboxView } from '#schemas/sandbox';
import type { ComponentReply } from '#schemas/service-contract';
import { bytesOf, stored } from '../blobs.ts';
import { inputBytes } from './here.ts';
import { type ChassisDesk, componentAddress, withChassis } from './realm.ts';
import { putOut, runLine, words } from './say.ts';

interface Options extends ActingOptions {
  readonly input: string;
  readonly grant?: true;
  readonly seed?: number;
  readonly wait?: true;
}

/** Random seeds fit into a double. */
const SEED_MAX = 2 ** 47;

export function submitCommand(shell: Shell): Command {
  const command = declare({
    name: 'submit',
    summary: 'submit a task for a component',
    description:
      'Submits a task: the component runs once with this input, under the limits of its contract. Without --grant it may do nothing outside of its jail.',
    group: 'Work',
    examples: [
      [
        "infrafabric chassis submit word-count --input 'to be or not' --wait",
        'and wait for what it puts out',
      ],
      [
        'infrafabric chassis submit word-count --input @hamlet.txt --grant',
        'with all that its contract grants',
      ],
    ],
  })
    .argument('<component>', 'name of the component')
    .addOption(new Option('--input <text>', 'what it is given; @file for a file').default('', 'nothing'))
    .option('--grant', 'with all that the contract grants; nothing without')
    .option('--seed <n>', 'of its random numbers; one at random when absent', wholeNumber)
    .option('--wait', 'until it has ended, and write what it puts out');
  return handle<[string], Options>(shell, withActing(command), async (run, name) => {
    const { io, out, options } = run;
    return await withChassis(run, async (chassis) => {
      const bytes = inputBytes(options.input, io.cwd);
      const input = await stored(
        { put: async (...blob) => await (await chassis.blobs()).put(...blob) },
        bytes,
      );
      const grant = options.grant === true ? (await chassis.component(name)).contract?.grant : undefined;
      const task = {
        input,
        seed: options.seed ?? randomInt(SEED_MAX),
        ...(grant !== undefined && { grant }),
      };
      const { task: address = '' } = await chassis.say<ComponentReply>(componentAddress(name), {
        type: 'component.submit',
        task,
      });
      if (options.wait !== true) {
        out.data({ ok: true, task: address });
        out.lines([`${out.palette.good('✓')} ${address}`]);
        return EXIT.ok;
      }
      const goesOn = (): void =>
        out.note(
          `${address} goes on: \`infrafabric chassis show ${address}\`, \`infrafabric chassis kill ${address}\``,
        );
      io.signal.addEventListener('abort', goesOn, { once: true });
      const { run: done, status, reason } = await ended(chassis, address);
      io.signal.removeEventListener('abort', goesOn);
      out.data({ ok: status === 'done', task: address, status, run: done });
      if (done?.output != null) {
        const output = await bytesOf(
          { get: async (blob) => await (await chassis.blobs()).get(blob) },
          done.output,
        );
        putOut(output, io, out);
      }
      out.note(`${address} ${done === null ? `${status}: ${words(reason ?? '')}` : runLine(done, out)}`);
      return status === 'done' ? EXIT.ok : EXIT.failure;
    });
  });
}

/** The task comes to life by mail, a moment after it was submitted. */
const NOT_YET = 'unknown_sandbox';
const LOOK_EVERY_MS = 25;

async function ended(chassis: ChassisDesk, address: string): Promise<SandboxView> {
  for (;;) {
    const view = await chassis.task(address).catch((thrown: unknown) => {
      if (thrown instanceof FabricError && thrown.code === NOT_YET) return undefined;
      throw thrown;
    });
    if (view !== undefined && view.endedAt !== null) return view;
    await pause(LOOK_EVERY_MS);
  }
}
