/** The command line: parses, runs one command, turns whatever comes of it into lines and an exit code. */
import { CommanderError } from 'commander';
import { FabricError, type WireError } from '#schemas/fabric-error';
import type { Distribution } from './builtins.ts';
import type { Shell } from './command.ts';
import { cliErrors } from './errors.ts';
import { EXIT, type ExitCode, exitCodeOf, Refused } from './exit-codes.ts';
import { type Io, outOf } from './io.ts';
import { typed } from './locate.ts';
import { program } from './program.ts';
import { debugLines, errorLines, wireOf } from './render/error.ts';
import { palette, wantsColour } from './render/palette.ts';
import { REPLAY_WORKER } from './replay-worker.ts';
import { version } from './version.ts';

/**
 * Runs one command line (without the interpreter and the script) and gives its exit code. Never throws and never
 * ends the process. A second Ctrl-C while a command stops ends the process at once.
 */
export async function main(
  argv: readonly string[],
  distribution: Distribution,
  given?: Io,
): Promise<ExitCode> {
  const listening = given === undefined ? listen() : undefined;
  const io = given ?? processIo(listening?.signal ?? new AbortController().signal);
  const shell: Shell = { io, distribution, exitCode: EXIT.ok };
  try {
    if (argv[0] === REPLAY_WORKER) {
      const { serveReplay } = await import('#runtime/replay/worker');
      await serveReplay(await distribution.machines());
      return EXIT.ok;
    }
    const root = await program(shell, version(), argv[0]);
    if (argv.length === 0) root.outputHelp();
    else await root.parseAsync([...argv], { from: 'user' });
    return shell.exitCode;
  } catch (thrown) {
    return report(thrown, argv, io, distribution);
  } finally {
    listening?.close();
  }
}

/** The surroundings of this process. */
export function processIo(signal: AbortSignal): Io {
  const { stdin, stdout, stderr, env, execPath, execArgv, argv } = process;
  const self = [execPath, ...execArgv, ...argv.slice(1)];
  return { stdin, stdout, stderr, env, cwd: process.cwd(), self, signal };
}

function report(thrown: unknown, argv: readonly string[], io: Io, distribution: Distribution): ExitCode {
  if (isInterruption(thrown, io.signal)) return EXIT.interrupted;
  if (thrown instanceof CommanderError) {
    if (thrown.exitCode === 0) return EXIT.ok;
    // A command without the subcommand it needs: its help stands on stderr.
    if (thrown.code === 'commander.help') return EXIT.usage;
    return report(usageError(thrown), argv, io, distribution);
  }
  const error = thrown instanceof Refused ? thrown.error : thrown;
  const wire = withExample(wireOf(error), distribution);
  if (argv.includes('--json')) outOf(io, true).data({ ok: false, error: wire });
  const colours = palette(wantsColour(io.env, io.stderr));
  const lines = errorLines(
    { ...wire, ...(wire.help !== undefined && { help: typed(wire.help, io) }) },
    colours,
  );
  if (argv.includes('--debug')) lines.push(...debugLines(error, colours));
  io.stderr.write(`${lines.join('\n')}\n`);
  return exitCodeOf(thrown);
}

/** What was waited for with the signal rejects with an error of its own, and the reason as its cause. */
function isInterruption(thrown: unknown, { aborted, reason }: AbortSignal): boolean {
  return aborted && (thrown === reason || (thrown instanceof Error && thrown.cause === reason));
}

/** A realm without a kind that a command speaks to: where one is that has it. */
function withExample(error: WireError, { examples }: Distribution): WireError {
  const actor = error.code === 'unknown_kind' ? error.details?.['actor'] : undefined;
  const example = typeof actor === 'string' ? examples[actor.slice(0, actor.indexOf('/'))] : undefined;
  if (example === undefined) return error;
  return {
    ...error,
    help: `${example} has this kind and those around it: take them over under kinds: of the config, then \`infrafabric reload\`.`,
  };
}

/** Commander's own wording, without its prefix. */
function usageError(error: CommanderError): FabricError {
  return new FabricError(cliErrors.usage, error.message.replace(/^error: /, ''));
}

/** Ctrl-C, SIGTERM and a reader that went away, as one signal. */
function listen(): { readonly signal: AbortSignal; close(): void } {
  const controller = new AbortController();
  const interrupt = (): void => {
    if (controller.signal.aborted) process.exit(EXIT.interrupted);
    controller.abort(new Interrupted());
  };
  const broken = (error: NodeJS.ErrnoException): void => {
    // `infrafabric log | head`: the reader has what it wanted.
    if (error.code === 'EPIPE') controller.abort(new Interrupted());
    else throw error;
  };
  process.on('SIGINT', interrupt).on('SIGTERM', interrupt);
  process.stdout.on('error', broken);
  process.stderr.on('error', broken);
  return {
    signal: controller.signal,
    close: () => {
      process.off('SIGINT', interrupt).off('SIGTERM', interrupt);
    },
  };
}

class Interrupted extends Error {
  constructor() {
    super('interrupted');
    this.name = 'Interrupted';
  }
}
