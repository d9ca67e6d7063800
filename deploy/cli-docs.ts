/** Writes docs/cli.md from the definitions of the commands; `--check` fails when it is stale. */
import type { Argument, Command, Option } from 'commander';
import { distribution } from '#actors/distribution';
import { EXIT_MEANINGS } from '#runtime/cli/exit-codes';
import { processIo } from '#runtime/cli/main';
import { program } from '#runtime/cli/program';
import { writeOrCheck } from './generated.ts';

const COMMON = new Set(['--json', '--data', '--config', '--debug']);

writeOrCheck('docs/cli.md', await reference());

async function reference(): Promise<string> {
  const io = processIo(new AbortController().signal);
  const root = await program({ io, distribution, exitCode: 0 }, '');
  const commands = visible(root);
  const common = commands[0]?.options.filter(({ long }) => COMMON.has(long ?? '')) ?? [];
  return `${[
    '# Commands',
    '',
    'Made from the definitions of the commands by `node deploy/cli-docs.ts`; `infrafabric help COMMAND` says the same.',
    '',
    root.description(),
    '',
    'Every command takes these:',
    '',
    ...options(common),
    '',
    'Results go to stdout, remarks and errors to stderr. With `--json`, stdout holds JSON only, one object a line, and an error is `{"ok":false,"error":{code,message,retryable,help}}`. Colours are for terminals, and off with `NO_COLOR`.',
    '',
    '## Exit codes',
    '',
    '| code | meaning |',
    '|---|---|',
    ...EXIT_MEANINGS.map(([code, meaning]) => `| ${code} | ${meaning} |`),
    '',
    ...commands.flatMap((command) => section(command, 'infrafabric', '##')),
  ]
    .join('\n')
    .trimEnd()}\n`;
}

function section(command: Command, parent: string, level: string): string[] {
  const name = `${parent} ${command.name()}`;
  const args = command.registeredArguments;
  const own = command.options.filter(({ long }) => !COMMON.has(long ?? ''));
  return [
    `${level} ${name}`,
    '',
    command.description(),
    '',
    '```',
    [name, ...args.map(argument), ...(own.length > 0 ? ['[options]'] : [])].join(' '),
    '```',
    '',
    ...(args.length > 0 ? [...args.map((a) => `- \`${a.name()}\`: ${a.description}`), ''] : []),
    ...(own.length > 0 ? [...options(own), ''] : []),
    ...examples(command),
    ...visible(command).flatMap((below) => section(below, name, `${level}#`)),
  ];
}

function options(list: readonly Option[]): string[] {
  const rows = list.map((option) => {
    const byDefault = option.defaultValueDescription ?? option.defaultValue;
    return `| \`${option.flags}\` | ${option.description}${byDefault === undefined ? '' : ` (default ${byDefault})`} |`;
  });
  return ['| option | |', '|---|---|', ...rows];
}

/** The examples stand in the help text only. */
function examples(command: Command): string[] {
  let help = '';
  command.configureOutput({ writeOut: (part) => (help += part) });
  command.outputHelp();
  const [, found] = help.split('\nExamples:\n');
  if (found === undefined) return [];
  return [
    '```sh',
    ...found
      .trimEnd()
      .split('\n')
      .map((line) => line.slice(2)),
    '```',
    '',
  ];
}

function argument(given: Argument): string {
  return given.required ? `<${given.name()}>` : `[${given.name()}]`;
}

/** Without the `help` that commander makes by itself; a command of ours may have that name too. */
function visible(command: Command): Command[] {
  return command
    .createHelp()
    .visibleCommands(command)
    .filter((below) => command.commands.includes(below));
}
