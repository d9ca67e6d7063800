/** `governor match`: who should do a task, and which filter refuses the rest. */
import { type Command, InvalidArgumentError } from 'commander';
import { commaList } from '#actors/coordinator/cli/task-add';
import { type ActingOptions, knownTask, withActing } from '#actors/coordinator/cli/with-desk';
import { declare, handle, type Shell, wholeNumber } from '#runtime/cli/command';
import { cliErrors } from '#runtime/cli/errors';
import { EXIT } from '#runtime/cli/exit-codes';
import { type Need, needSchema, type Verdict } from '#schemas/assignment';
import { FabricError } from '#schemas/fabric-error';
import { readCapabilitiesOf } from '../registry/read.ts';
import { WorkerIndex } from '../registry/worker-index.ts';
import { workersOf } from '../registry/workers.ts';
import { matchLines } from './match-lines.ts';
import { type RegistryDesk, withRegistry } from './say.ts';

interface Options extends ActingOptions {
  readonly requires?: readonly string[];
  readonly hours?: number;
  readonly context?: number;
  readonly explain?: boolean;
  readonly limit: number;
}

const LIMIT_DEFAULT = 10;

export function matchCommand(shell: Shell): Command {
  const command = declare({
    name: 'match',
    summary: 'who should do a task, with every factor of the score',
    description:
      'Ranks the registered workers for a task, or for what is required: score = match × reputation × bloom fit ÷ price. With --explain everyone who is refused is listed too, with each filter that refuses and its figures.',
    group: 'Work',
    examples: [
      ['infrafabric governor match P1.2', 'for a task of the board'],
      ['infrafabric governor match --requires integration:sip,code:go --hours 4', 'for what is required'],
      ['infrafabric governor match P1.2 --explain', 'and why not the others'],
    ],
  })
    .argument('[task]', 'a task of the board')
    .option('--requires <capabilities>', 'instead of a task, separated by commas', commaList)
    .option('--hours <n>', 'estimate', hours)
    .option('--context <tokens>', 'tokens of context it needs', wholeNumber)
    .option('--explain', 'everyone, with what refuses them')
    .option('-n, --limit <n>', 'lines shown; 0 for all', wholeNumber, LIMIT_DEFAULT);
  return handle<[string?], Options>(shell, withActing(command), async (run, task) => {
    const { options, out } = run;
    return await withRegistry(run, async (registry) => {
      const { rules, currency, taxonomy } = await registry.get();
      const read = readCapabilitiesOf(taxonomy, options.requires ?? []);
      const need = await needOf(registry, task, { ...options, requires: read.capabilities });
      for (const { capability, nearest } of read.problems)
        out.note(
          `note: "${capability}"${nearest === null ? ' is not in the taxonomy' : `: ${nearest} is nearest`}`,
        );
      const { realm } = registry.desk;
      const index = new WorkerIndex();
      for (const worker of await workersOf(realm)) index.set(worker);
      const now = realm.now();
      const limit = options.limit === 0 ? Number.POSITIVE_INFINITY : options.limit;
      const ranking = index.rank(need, now, { rules, limit });
      const verdicts: readonly Verdict[] =
        options.explain === true ? index.explain(need, now, { rules }) : [];
      const { idlest: _, ...shown } = ranking;
      out.data({ ...shown, ...(options.explain === true && { verdicts }) });
      out.lines(matchLines(ranking, verdicts.slice(0, limit), currency, rules, out));
      return EXIT.ok;
    });
  });
}

async function needOf(
  { desk }: RegistryDesk,
  task: string | undefined,
  { requires = [], hours: given, context }: Pick<Options, 'requires' | 'hours' | 'context'>,
): Promise<Need> {
  if ((task === undefined) === (requires.length === 0))
    throw new FabricError(cliErrors.usage, 'Name a task, or what is required with --requires');
  if (task === undefined)
    return needSchema.parse({ task: '', requires, hours: given, contextTokens: context });
  const view = await knownTask(desk, task.replace(/^task\//, ''));
  return needSchema.parse({
    task: view.id,
    requires: view.requires,
    hours: given ?? view.estimate.hours ?? undefined,
    contextTokens: context ?? view.contextTokens,
  });
}

function hours(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !(value >= 0 && value <= 100_000))
    throw new InvalidArgumentError('Expected a number of hours.');
  return value;
}
