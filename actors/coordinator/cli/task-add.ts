/** `task add`. */
import { type Command, InvalidArgumentError } from 'commander';
import { declare, handle, type Shell, wholeNumber } from '#runtime/cli/command';
import { EXIT, Refused } from '#runtime/cli/exit-codes';
import { FabricError } from '#schemas/fabric-error';
import { taskSpecSchema } from '#schemas/task';
import { coordinatorErrors } from '../errors.ts';
import { keptOf, wordOf } from './kept.ts';
import { type ActingOptions, withActing, withDesk } from './with-desk.ts';

interface Options extends ActingOptions {
  readonly after?: readonly string[];
  readonly requires?: readonly string[];
  readonly deliverable?: readonly string[];
  readonly owner?: string;
  readonly hours?: number;
  readonly priority?: number;
  readonly deadline?: number;
  readonly retries?: number;
  readonly kind?: string;
  readonly filler?: boolean;
}

export function taskAddCommand(shell: Shell): Command {
  const command = declare({
    name: 'add',
    summary: 'add a task to the board',
    description:
      'Adds a task. What it comes after may be added later; a circle is refused with its tasks named. Added again with the same dependencies, nothing changes, and what it keeps is named.',
    group: 'Work',
    examples: [
      ['infrafabric task add P1.1 "Event bus"', 'a task anyone may claim'],
      ['infrafabric task add P1.2 "Claims" --after P1.1 --hours 6', 'behind another'],
      ['infrafabric task add P1.3 "Tests" --requires testing:integration', 'for who can do it'],
      ['infrafabric task add F1 "Tidy up" --filler', 'for who waits for something else'],
    ],
  })
    .argument('<id>', 'its name: letters, digits and . _ @ + = : -')
    .argument('[title]', 'what is to be done')
    .option('--after <ids>', 'tasks it waits for, separated by commas', commaList)
    .option(
      '--requires <capabilities>',
      'what who does it must be able to do, separated by commas',
      commaList,
    )
    .option('--owner <session>', 'only this session may claim it')
    .option('--hours <n>', 'estimate', positiveNumber)
    .option('--priority <n>', 'higher goes first', anyNumber)
    .option('--deadline <time>', 'a date and time; later it is told as overdue', dateTime)
    .option('--deliverable <paths>', 'what is to be handed in, separated by commas', commaList)
    .option('--retries <n>', 'how often it is offered again after a failure', wholeNumber)
    .option('--kind <kind>', 'what kind of work it is')
    .option('--filler', 'may be done by who waits for something else');
  return handle<[string, string?], Options>(shell, withActing(command), async (run, id, title) => {
    const { options, out } = run;
    const { after, requires, deliverable, owner, hours, priority, deadline, retries, kind, filler } = options;
    const given = {
      ...(title !== undefined && { title }),
      ...(after !== undefined && { deps: after }),
      ...(requires !== undefined && { requires }),
      ...(deliverable !== undefined && { deliverables: deliverable }),
      ...(owner !== undefined && { owner: owner.replace(/^session\//, '') }),
      ...(hours !== undefined && { estimate: { hours } }),
      ...(priority !== undefined && { priority }),
      ...(deadline !== undefined && { deadline }),
      ...(retries !== undefined && { retries }),
      ...(kind !== undefined && { kind }),
      ...(filler === true && { filler }),
    };
    const spec = taskSpecSchema.safeParse({ id, ...given });
    if (!spec.success) {
      const [issue] = spec.error.issues;
      throw new FabricError(
        coordinatorErrors.bad_task,
        `${String(issue?.path[0] ?? 'task')}: ${issue?.message ?? ''}`,
      );
    }
    return await withDesk(run, async (desk) => {
      const reply = await desk.addTasks([spec.data]);
      if (!reply.accepted) throw new Refused(new FabricError(coordinatorErrors.tasks_refused, reply.reason));
      const isNew = reply.added.includes(id);
      const known = isNew ? undefined : await desk.task(id);
      const kept = known === undefined ? [] : keptOf(known, given);
      out.data({
        ok: true,
        task: id,
        added: isNew,
        missing: reply.missing,
        ...(kept.length > 0 && { kept: Object.fromEntries(kept) }),
      });
      out.lines([isNew ? `${out.palette.good('+')} task/${id}` : `task/${id} is there already`]);
      for (const [name, value] of kept) out.note(out.palette.warn(`It keeps its ${name}: ${wordOf(value)}`));
      if (reply.missing.length > 0)
        out.lines([out.palette.warn(`It waits for tasks nobody added yet: ${reply.missing.join(', ')}`)]);
      return EXIT.ok;
    });
  });
}

export function commaList(text: string): readonly string[] {
  return text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
}

function positiveNumber(text: string): number {
  const value = anyNumber(text);
  if (value < 0) throw new InvalidArgumentError('Expected a number from 0.');
  return value;
}

function anyNumber(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value)) throw new InvalidArgumentError('Expected a number.');
  return value;
}

function dateTime(text: string): number {
  const at = Date.parse(text);
  if (Number.isNaN(at)) throw new InvalidArgumentError('Expected a time such as 2026-01-31T12:00:00Z.');
  return at;
}
