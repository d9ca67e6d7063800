/** `task claim`, `progress`, `block` … : a word to one task, in somebody's name. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { type Declaration, declare, handle, type Shell } from '#runtime/cli/command';
import { EXIT } from '#runtime/cli/exit-codes';
import type { Saying } from '../desk.ts';
import { statusWord } from '../pictures/task.ts';
import { commaList } from './task-add.ts';
import { type ActingOptions, sayToTask, withActing, withDesk } from './with-desk.ts';

interface Word {
  readonly name: string;
  readonly summary: string;
  readonly description?: string;
  readonly examples: Declaration['examples'];
  /** Arguments and options of its own, behind the id. */
  readonly shape?: (command: Command) => Command;
  readonly event: (args: readonly (string | undefined)[], options: MoveOptions) => Saying;
}

interface MoveOptions extends ActingOptions {
  readonly reason?: string;
  readonly kind?: 'task' | 'person' | 'resource';
  readonly deliverable?: string;
  readonly testsPass?: boolean;
  readonly requires?: readonly string[];
}

const because = (command: Command): Command => command.option('--reason <text>', 'why; it stands in the log');

const WORDS: readonly Word[] = [
  {
    name: 'claim',
    summary: 'take a task that is available; exactly one of all who try gets it',
    examples: [['infrafabric task claim P0.1.1 --as cli', 'session/cli takes it']],
    event: () => ({ type: 'task.claim' }),
  },
  {
    name: 'progress',
    summary: 'say how far a task is',
    examples: [['infrafabric task progress P0.1.1 50 "API done" --as cli', 'half']],
    shape: (command) => command.argument('<percent>', '0 to 100', percent).argument('[note]', 'what is done'),
    event: ([milestone, note]) => ({
      type: 'task.progress',
      milestone: Number(milestone),
      ...given({ note }),
    }),
  },
  {
    name: 'block',
    summary: 'say what a task waits for; its worker is offered fillers meanwhile',
    examples: [
      ['infrafabric task block P0.5.2 P0.2.6 --as webrtc', 'on another task'],
      ['infrafabric task block P0.5.2 ann --kind person --as webrtc', 'on a person'],
    ],
    shape: (command) =>
      because(
        command
          .argument('<on>', 'id of a task, or the name of a person or resource')
          .addOption(
            new Option('--kind <kind>', 'what it waits for')
              .choices(['task', 'person', 'resource'])
              .default('task'),
          ),
      ),
    event: ([on], { kind, reason }) => ({ type: 'task.block', on, kind, ...given({ reason }) }),
  },
  {
    name: 'unblock',
    summary: 'say that what a task waited for is there',
    description:
      'Says that what a task waited for is there. What waits for a task is unblocked by that task itself.',
    examples: [['infrafabric task unblock P0.5.2', 'an operator may, and its worker']],
    event: () => ({ type: 'task.unblock' }),
  },
  {
    name: 'complete',
    summary: 'hand a task in',
    description:
      'Hands a task in. Where it has a gate, what is missing is named and the task stays with its worker.',
    examples: [['infrafabric task complete P0.1.1 --deliverable bus.ts --tests-pass --as cli', 'done']],
    shape: (command) =>
      command.option('--deliverable <path>', 'what was made').option('--tests-pass', 'its tests pass'),
    event: (_, { deliverable, testsPass }) => ({
      type: 'task.complete',
      ...given({ deliverable, testsPass }),
    }),
  },
  {
    name: 'fail',
    summary: 'give a task up; it is offered again where it may be retried',
    examples: [['infrafabric task fail P0.1.1 --reason "no access" --as cli', 'with the reason']],
    shape: because,
    event: (_, { reason }) => ({ type: 'task.fail', ...given({ reason }) }),
  },
  {
    name: 'cancel',
    summary: 'end a task that is not wanted any more',
    examples: [['infrafabric task cancel P0.1.1 --reason "out of scope"', 'what waits for it waits on']],
    shape: because,
    event: (_, { reason }) => ({ type: 'task.cancel', ...given({ reason }) }),
  },
  {
    name: 'release',
    summary: 'give a task back: it is available again',
    examples: [['infrafabric task release P0.1.1 --as cli', 'by its worker, or by an operator']],
    shape: because,
    event: (_, { reason }) => ({ type: 'task.release', ...given({ reason }) }),
  },
  {
    name: 'retry',
    summary: 'offer a failed or cancelled task again',
    examples: [['infrafabric task retry P0.1.1', 'from the beginning']],
    shape: because,
    event: (_, { reason }) => ({ type: 'task.retry', ...given({ reason }) }),
  },
  {
    name: 'help',
    summary: 'ask for help with a task: sessions that can are asked to join',
    examples: [['infrafabric task help P0.1.1 --reason "stuck on TLS" --as cli', 'the first three join']],
    shape: (command) =>
      because(command.option('--requires <capabilities>', 'what helpers must be able to do', commaList)),
    event: (_, { reason, requires }) => ({ type: 'task.help', ...given({ reason, requires }) }),
  },
  {
    name: 'override',
    summary: 'complete a task although its gate refused what was handed in',
    examples: [
      ['infrafabric task override P0.1.1 --reason "docs follow on Monday"', 'an operator only; it is logged'],
    ],
    shape: (command) => command.requiredOption('--reason <text>', 'why; it stands in the log'),
    event: (_, { reason }) => ({ type: 'task.override', reason }),
  },
];

export function taskMoveCommands(shell: Shell): Command[] {
  return WORDS.map(({ name, summary, description, examples, shape, event }) => {
    const plain = declare({
      name,
      summary,
      group: 'Work',
      examples,
      ...(description !== undefined && { description }),
    });
    const command = (shape ?? ((same) => same))(plain.argument('<id>', 'the task'));
    return handle<[string, ...(string | undefined)[]], MoveOptions>(
      shell,
      withActing(command),
      async (run, named, ...args) => {
        const { options, out } = run;
        const id = named.replace(/^task\//, '');
        return await withDesk(run, async (desk) => {
          const said = event(args, options);
          const reply = await sayToTask(desk, id, said);
          if (said['kind'] === 'task' && (await desk.task(String(said['on']))) === undefined)
            out.note(
              out.palette.warn(
                `There is no task ${said['on']} yet; for a person or resource say so with --kind`,
              ),
            );
          out.data({ ok: true, task: id, as: desk.as, ...reply });
          const done = reply.status === 'in_progress' ? `, ${reply.milestone} %` : '';
          out.lines([`${out.palette.name(`task/${id}`)} ${statusWord(reply.status)}${done}`]);
          return EXIT.ok;
        });
      },
    );
  });
}

function given(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}

function percent(text: string): string {
  const value = Number(text.replace(/\s*%$/, ''));
  if (!(value >= 0 && value <= 100)) throw new InvalidArgumentError('Expected 0 to 100.');
  return String(value);
}
