/** `replay`: runs the machines again over the log, and compares, explains or exports what comes of it. */
import { once } from 'node:events';
import { existsSync, type WriteStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { finished } from 'node:stream/promises';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { decodeCommit } from '#runtime/bus/codec';
import { natsBlobs } from '#runtime/bus/nats-blobs';
import { EXPORT_FORMATS, type ExportFormat, headOf, linesOf } from '#runtime/replay/export';
import { replayInJail } from '#runtime/replay/jail';
import type { ReplayStep, StepFilter } from '#runtime/replay/report';
import { loadConfig } from '#runtime/supervise/load-config';
import { readCommitHead } from '#runtime/witness/commit-head';
import type { LogMessage } from '#runtime/witness/log-reader';
import { parseAddress } from '#schemas/address';
import { realmConfigSchema } from '#schemas/config';
import { FabricError } from '#schemas/fabric-error';
import { KERNEL_DRIVERS } from '#schemas/kernel-kinds';
import { type Builtins, machineNames } from '../builtins.ts';
import { declare, handle, moment, type Shell } from '../command.ts';
import { cliErrors } from '../errors.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import type { Io, Out } from '../io.ts';
import { findConfig, missingConfig } from '../locate.ts';
import { logProgress } from '../log-progress.ts';
import { openPrivacyView, revealOption } from '../privacy-view.ts';
import { type Realm, withRealm } from '../realm.ts';
import { plural } from '../render/format.ts';
import { stepLines, summaryLines } from '../render/replay.ts';
import { REPLAY_WORKER } from '../replay-worker.ts';
import { showSteps } from '../step-view.ts';
import { packageRoot } from '../version.ts';
import { FIRST_REALM } from './up.ts';

/** Steps that can be walked through; more are for `--export`. */
const STEPS_MAX = 20_000;

interface Options {
  readonly config?: string;
  readonly actor?: string;
  readonly until?: Until;
  readonly trace?: string;
  readonly step?: boolean;
  readonly whatIf?: string;
  readonly fromSnapshot?: boolean;
  readonly export?: string;
  readonly format: ExportFormat;
  readonly reveal?: boolean;
}

/** A time, a sequence in the log, or a commit of a shard. */
type Until =
  | { readonly at: number }
  | { readonly seq: number }
  | { readonly shard: number; readonly index: number };

export function replayCommand(shell: Shell): Command {
  const command = declare({
    name: 'replay',
    summary: 'run the machines again over the log, and compare every state',
    description:
      'Runs the machines of the config again over the whole log, in a process without rights, and compares every state digest that the log recorded. Ends with exit code 1 where a machine of now gives another state, and shows the entry and both. Nothing is carried out.',
    group: 'Look',
    examples: [
      ['infrafabric replay', 'does the log still fold to the states it recorded?'],
      ['infrafabric replay --actor counter/k1 --step', 'one actor, entry by entry, with what each changed'],
      ['infrafabric replay --until 10m --actor counter/k1', 'up to ten minutes ago'],
      [
        'infrafabric replay --what-if ./machines/mine.ts#mine',
        'where would histories part under this machine?',
      ],
      ['infrafabric replay --export steps.csv --format csv', 'for other tools'],
    ],
  })
    .option('-a, --actor <address>', 'only steps of this actor')
    .option('--trace <id>', 'only steps of this trace')
    .option('--until <place>', 'up to a time (10m ago, or a date), a sequence, or shard/commit', until)
    .option('--from-snapshot', 'begin with the last snapshot of each shard, and believe it')
    .option('--step', 'walk through the steps: keys in a terminal, a list elsewhere')
    .option('--what-if <file#export>', 'the same inputs under another machine of this name')
    .option('--export <file>', 'write the steps into a file')
    .addOption(new Option('--format <format>', 'of the export').choices(EXPORT_FORMATS).default('jsonl'))
    .addOption(revealOption());
  return handle<[], Options>(shell, command, ({ io, out, options, builtins }) =>
    withRealm(options, io, async (realm) => replay(realm, options, { io, out, builtins: await builtins() })),
  );
}

interface Surroundings {
  readonly io: Io;
  readonly out: Out;
  readonly builtins: Builtins;
}

async function replay(
  realm: Realm,
  options: Options,
  { io, out, builtins }: Surroundings,
): Promise<ExitCode> {
  const log = await realm.openLog();
  const range = await log.range();
  const view = await openPrivacyView(realm, out, options);
  const place = { palette: out.palette, now: realm.now() };
  const { config, baseDir } = configOf(options, io, builtins);
  const filter = filterOf(options);
  const wantsSteps = options.step === true || options.actor !== undefined || options.trace !== undefined;
  const kept: ReplayStep[] = [];
  await using file =
    options.export === undefined
      ? undefined
      : await Export.open(resolve(io.cwd, options.export), options.format);
  const blobs = await natsBlobs(realm.connection, realm.subjects);
  const through = throughOf(options.until, range.last);
  const bar = logProgress(io, out, through, 'replay');
  const startedAt = performance.now();
  const summary = await replayInJail({
    program: [builtins.program, REPLAY_WORKER],
    packageRoot: packageRoot(),
    dataDir: realm.target.dataDir,
    order: {
      config,
      baseDir,
      driverNames: [...Object.keys(builtins.drivers), ...KERNEL_DRIVERS],
      ...((wantsSteps || file !== undefined) && { steps: filter }),
      ...(options.fromSnapshot === true && { fromSnapshot: true }),
      ...(options.whatIf !== undefined && { whatIf: options.whatIf, whatIfDir: io.cwd }),
    },
    log,
    first: range.first,
    through,
    ...(options.until !== undefined && { wanted: wantedUntil(options.until) }),
    blobs,
    async onSteps(steps) {
      for (const step of steps) {
        const shown = await view.show(step);
        await file?.write(shown);
        if (wantsSteps && out.json) out.data(shown);
        else if (wantsSteps && kept.length < STEPS_MAX) kept.push(shown);
      }
    },
    progress: bar.reach,
    signal: io.signal,
  }).finally(bar.stop);
  await file?.close();
  const tookMs = performance.now() - startedAt;
  if (kept.length > 0) {
    if (options.step === true && out.live && io.stdin.isTTY === true) await showSteps(kept, io, place);
    else for (const step of kept) out.lines(stepLines(step, place));
    if (kept.length === STEPS_MAX)
      out.note(`Only the first ${STEPS_MAX} steps are shown; --export writes all.`);
  } else if (wantsSteps && !out.json) out.lines(['No steps match.']);
  out.data({
    ...summary,
    ok: summary.divergence === undefined,
    tookMs: Math.round(tookMs),
    ...(file !== undefined && { exported: options.export, steps: file.steps }),
  });
  out.lines(summaryLines(summary, { tookMs, isWhatIf: options.whatIf !== undefined }, place));
  if (file !== undefined) out.lines([`  ${plural(file.steps, 'step')} written to ${options.export}`]);
  return summary.divergence === undefined ? EXIT.ok : EXIT.failure;
}

/** The config whose machines run; that of the first realm where there is none. */
function configOf({ config: named }: Options, io: Io, builtins: Builtins) {
  const file = named === undefined ? findConfig(io.cwd) : resolve(io.cwd, named);
  if (file === undefined) return { config: realmConfigSchema.parse(FIRST_REALM), baseDir: io.cwd };
  if (!existsSync(file)) throw missingConfig(file);
  const { config } = loadConfig(file, { env: io.env, machines: machineNames(builtins) });
  return { config, baseDir: dirname(file) };
}

function filterOf({ actor, trace }: Options): StepFilter {
  return {
    ...(actor !== undefined && { actor: parseAddress(actor).address }),
    ...(trace !== undefined && { trace }),
  };
}

function throughOf(wanted: Until | undefined, last: number): number {
  return wanted !== undefined && 'seq' in wanted ? Math.min(wanted.seq, last) : last;
}

/** Commits up to there; a shard's own index ends the others at the same place of the log. */
function wantedUntil(wanted: Until): (message: LogMessage) => boolean {
  let isPast = false;
  return ({ shard, bytes }) => {
    if (isPast) return false;
    const { at, index } = readCommitHead(bytes) ?? decodeCommit(bytes);
    if ('at' in wanted) isPast = at > wanted.at;
    else if ('index' in wanted) isPast = shard === wanted.shard && index > wanted.index;
    return !isPast;
  };
}

function until(text: string): Until {
  if (/^\d{1,15}$/.test(text)) return { seq: Number(text) };
  const commit = /^(\d{1,6})\/(\d{1,15})$/.exec(text);
  if (commit !== null) return { shard: Number(commit[1]), index: Number(commit[2]) };
  try {
    return { at: moment(Date.now)(text) };
  } catch {
    throw new InvalidArgumentError(
      'Expected a time such as 10m or 2026-01-31T12:00:00Z, a sequence, or shard/commit.',
    );
  }
}

/** A file of steps. */
class Export implements AsyncDisposable {
  readonly #format: ExportFormat;
  readonly #output: WriteStream;
  /** Rejects with what writing failed with. */
  readonly #done: Promise<void>;
  #steps = 0;

  /** Throws `file_unreadable` where the file cannot be written. */
  static async open(file: string, format: ExportFormat): Promise<Export> {
    try {
      return new Export((await open(file, 'w', 0o600)).createWriteStream(), format);
    } catch (cause) {
      throw new FabricError(cliErrors.file_unreadable, `${file} cannot be written`, {
        details: { file },
        cause,
      });
    }
  }

  private constructor(output: WriteStream, format: ExportFormat) {
    this.#format = format;
    this.#output = output;
    this.#done = finished(output);
    // Told by the next write that has to wait, or at the end.
    this.#done.catch(() => {});
    const head = headOf(format);
    if (head !== undefined) this.#output.write(`${head}\n`);
  }

  /** How many were written. */
  get steps(): number {
    return this.#steps;
  }

  async write(step: ReplayStep): Promise<void> {
    this.#steps += 1;
    for (const line of linesOf(this.#format, step)) {
      if (!this.#output.write(`${line}\n`)) await Promise.race([once(this.#output, 'drain'), this.#done]);
    }
  }

  /** Resolves once all is written. */
  async close(): Promise<void> {
    if (!this.#output.writableEnded) this.#output.end();
    await this.#done;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
