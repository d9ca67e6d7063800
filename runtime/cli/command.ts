/** How a command is declared: options every one has, examples, and a handler that gives an exit code. */
import { Command, InvalidArgumentError, Option } from 'commander';
import { formatDuration, parseDurationMs } from '#schemas/units';
import type { Distribution } from './builtins.ts';
import type { ExitCode } from './exit-codes.ts';
import { type Io, type Out, outOf } from './io.ts';

export interface CommonOptions {
  readonly json?: boolean;
  readonly data?: string;
  readonly config?: string;
  readonly nkey?: string;
  readonly debug?: boolean;
}

/** What a handler gets besides its arguments. */
export interface Run<O> {
  readonly io: Io;
  readonly out: Out;
  readonly builtins: Distribution['builtins'];
  readonly options: O & CommonOptions;
}

/** What `main` gives to every command, and gets back. */
export interface Shell {
  readonly io: Io;
  readonly distribution: Distribution;
  exitCode: ExitCode;
}

export type MakeCommand = (shell: Shell) => Command;

/** Commands by name, each loaded when it is wanted. */
export type CommandTable = Readonly<Record<string, () => Promise<MakeCommand>>>;

export interface Declaration {
  readonly name: string;
  readonly summary: string;
  /** A sentence or two more for --help; the summary alone where absent. */
  readonly description?: string;
  readonly group: 'Run' | 'Look' | 'Talk' | 'Work' | 'Set up';
  readonly examples: readonly (readonly [command: string, what: string])[];
}

/** A command with the common options; add arguments and options of its own, then {@link handle}. */
export function declare({ name, summary, description, group, examples }: Declaration): Command {
  const command = new Command(name)
    .summary(summary)
    .description(description ?? summary)
    .helpGroup(`${group}:`)
    .showHelpAfterError(false);
  command.addHelpText('after', examplesText(examples));
  return command;
}

export function examplesText(examples: Declaration['examples'], title = 'Examples'): string {
  const width = Math.max(...examples.map(([example]) => example.length));
  const line = ([example, what]: Declaration['examples'][number]): string =>
    what === '' ? `  ${example}` : `  ${example.padEnd(width)}  # ${what}`;
  return `\n${title}:\n${examples.map(line).join('\n')}`;
}

/** Binds the handler and adds the options every command has, last in the help. */
export function handle<A extends readonly unknown[], O>(
  shell: Shell,
  command: Command,
  handler: (run: Run<O>, ...args: A) => Promise<ExitCode>,
): Command {
  return command
    .optionsGroup('Common options:')
    .addOption(new Option('--json', 'machine-readable output: JSON, one object a line'))
    .addOption(new Option('--data <dir>', 'data folder of the realm'))
    .addOption(new Option('--config <file>', 'config of the realm'))
    .addOption(new Option('--nkey <file>', 'key to sign on with to a secure realm'))
    .addOption(new Option('--debug', 'with an error: its stack and causes'))
    .helpOption('-h, --help', 'this help')
    .action(async (...given: unknown[]) => {
      const options = command.opts<O & CommonOptions>();
      // Commander hands over the arguments, then the options and the command.
      const args = given.slice(0, -2) as unknown as A;
      const { io, distribution } = shell;
      const out = outOf(io, options.json === true);
      const run = { io, builtins: () => distribution.builtins(), out, options };
      shell.exitCode = await handler(run, ...args);
    });
}

/** `--timeout`, with its default as a person writes it. */
export function timeoutOption(defaultMs: number): Option {
  return new Option('--timeout <time>', 'how long to wait')
    .argParser(durationMs)
    .default(defaultMs, formatDuration(defaultMs));
}

/** Option parser: `5s`, `300ms`, `2m`; gives ms. */
export function durationMs(text: string): number {
  const ms = /^\d+$/.test(text) ? undefined : parseDurationMs(text);
  if (ms === undefined) throw new InvalidArgumentError('Expected a duration such as 5s, 300ms or 2m.');
  return ms;
}

/** Option parser: a whole number from 0. */
export function wholeNumber(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('Expected a whole number from 0.');
  return Number(text);
}

/** Option parser: `5m` (ago) or a date and time; gives ms since the epoch. */
export function moment(now: () => number): (text: string) => number {
  return (text) => {
    const ago = /^\d+$/.test(text) ? undefined : parseDurationMs(text);
    if (ago !== undefined) return now() - ago;
    const at = Date.parse(text);
    if (Number.isNaN(at)) {
      throw new InvalidArgumentError(
        'Expected how long ago, such as 5m, or a time such as 2026-01-31T12:00:00Z.',
      );
    }
    return at;
  };
}
