/** `governor register`: workers come into the registry, or change what stands there. */
import { resolve } from 'node:path';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { commaList } from '#actors/coordinator/cli/task-add';
import { type ActingOptions, withActing } from '#actors/coordinator/cli/with-desk';
import { type WorkerContext, workerView } from '#machines/worker/context';
import { declare, handle, type Run, type Shell, wholeNumber } from '#runtime/cli/command';
import { cliErrors } from '#runtime/cli/errors';
import { EXIT } from '#runtime/cli/exit-codes';
import type { Out } from '#runtime/cli/io';
import type { ReadCapabilities } from '#schemas/capability';
import { FabricError } from '#schemas/fabric-error';
import { formatMoney, parseMoney } from '#schemas/money';
import {
  TIERS,
  WORKER_TYPE,
  type WorkerProfile,
  type WorkerProfileInput,
  type WorkerView,
  workerProfileSchema,
} from '#schemas/worker';
import { registryErrors } from '../registry/errors.ts';
import { readWorkers } from '../registry/workers-file.ts';

import { type RegistryDesk, withRegistry } from './say.ts';

interface Options extends ActingOptions {
  readonly file?: string;
  readonly capabilities?: readonly string[];
  readonly cost?: number;
  readonly currency?: string;
  readonly model?: string;
  readonly maxConcurrent?: number;
  readonly tier?: WorkerProfile['tier'];
  readonly bloom?: NonNullable<WorkerProfile['bloom']>;
  readonly strict?: boolean;
}

export function registerCommand(shell: Shell): Command {
  const command = declare({
    name: 'register',
    summary: 'register a worker: what it can do, what it costs, how much it takes at once',
    description:
      'Registers a worker, or changes what is named of one that stands in the registry; its reputation stays. Capabilities are read by the taxonomy in force: aliases are resolved, and what it does not know is told with the nearest one, or refused with --strict.',
    group: 'Work',
    examples: [
      ['infrafabric governor register ndi --capabilities integration:ndi,code:go --cost 12.50', 'one'],
      [
        'infrafabric governor register big --cost 30 --max-concurrent 4 --bloom 32000-200000',
        'best with long contexts',
      ],
      ['infrafabric governor register --file workers.yaml', 'all of a file'],
    ],
  })
    .argument('[id]', 'name of its session: ndi for session/ndi')
    .option('--file <file>', 'YAML with a list `workers`')
    .option(
      '--capabilities <list>',
      'category:skill or category:skill:detail, separated by commas',
      commaList,
    )
    .option('--cost <amount>', 'price of an hour, such as 12.50', moneyOption)
    .option('--currency <code>', 'of the price; that of the registry when absent')
    .option('--model <name>', 'model it runs on')
    .option('--max-concurrent <n>', 'tasks it may have at once', wholeNumber)
    .addOption(new Option('--tier <tier>', 'what it is for').choices(TIERS))
    .option(
      '--bloom <from-to>',
      'tokens of context at which it is at its best, such as 8000-64000',
      bloomOption,
    )
    .option('--strict', 'refuse capabilities that the taxonomy does not know');
  return handle<[string?], Options>(shell, withActing(command), async (run, id) => {
    const { options, out } = run;
    return await withRegistry(run, async (registry) => {
      const { currency } = await registry.get();
      const profiles = await profilesOf(id, run, registry, currency);
      for (const profile of profiles) await register(registry, profile, options.strict === true, out);
      return EXIT.ok;
    });
  });
}

async function register(
  registry: RegistryDesk,
  profile: WorkerProfile,
  strict: boolean,
  out: Out,
): Promise<void> {
  const { read, taxonomyVersion } = await registry.say({ type: 'registry.register', profile, strict });
  const { capabilities = [], problems = [] } = read ?? {};
  const { micros, currency } = profile.costPerHour;
  out.data({ ok: true, worker: profile.id, capabilities, problems, taxonomyVersion });
  out.lines([
    `${out.palette.good('✓')} worker/${profile.id}  ${formatMoney(micros)} ${currency}/h, ${profile.maxConcurrent} at once, can ${capabilities.join(', ') || 'nothing in particular'}`,
  ]);
  for (const line of remarksOf(problems, taxonomyVersion)) out.note(line);
}

function remarksOf(problems: ReadCapabilities['problems'], version: number | null): string[] {
  return problems.map(({ capability, kind, nearest }) => {
    if (kind === 'alias') return `note: "${capability}" is read as ${nearest}`;
    const hint = nearest === null ? '' : ` — did you mean "${nearest}"?`;
    return `warning: "${capability}" is not in taxonomy ${version}${hint}`;
  });
}

async function profilesOf(
  id: string | undefined,
  { options, io }: Run<Options>,
  { desk }: RegistryDesk,
  currency: string,
): Promise<readonly WorkerProfile[]> {
  const { file } = options;
  if ((file === undefined) === (id === undefined))
    throw new FabricError(cliErrors.usage, 'Name a worker, or a file of workers with --file');
  if (file !== undefined) return readWorkers(file, resolve(io.cwd, file));
  const name = (id ?? '').replace(/^(?:session|worker)\//, '');
  // What is not named stays as it is: a new capability must not make a worker free.
  const before = (await desk.seen<WorkerContext, WorkerView>(WORKER_TYPE, name, workerView))?.profile;
  const price = before?.costPerHour;
  const parsed = workerProfileSchema.safeParse({
    ...before,
    id: name,
    costPerHour: {
      micros: options.cost ?? price?.micros ?? 0,
      currency: options.currency ?? price?.currency ?? currency,
    },
    ...(options.capabilities !== undefined && { capabilities: [...options.capabilities] }),
    ...(options.model !== undefined && { model: options.model }),
    ...(options.maxConcurrent !== undefined && { maxConcurrent: options.maxConcurrent }),
    ...(options.tier !== undefined && { tier: options.tier }),
    ...(options.bloom !== undefined && { bloom: options.bloom }),
  } satisfies WorkerProfileInput);
  if (parsed.success) return [parsed.data];
  const [issue] = parsed.error.issues;
  throw new FabricError(
    registryErrors.bad_profile,
    `${issue?.path.join('.') ?? ''}: ${issue?.message ?? ''}`,
  );
}

function moneyOption(text: string): number {
  const micros = parseMoney(text);
  if (micros === undefined) throw new InvalidArgumentError('Expected an amount such as 12.50.');
  return micros;
}

function bloomOption(text: string): NonNullable<WorkerProfile['bloom']> {
  const [, from, to] = /^(\d{1,9})-(\d{1,9})$/.exec(text) ?? [];
  if (from === undefined || to === undefined)
    throw new InvalidArgumentError('Expected two numbers of tokens such as 8000-64000.');
  return { fromTokens: Number(from), toTokens: Number(to) };
}
