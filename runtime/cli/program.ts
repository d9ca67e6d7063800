/** All commands. `main` runs them; the command reference and shell completion are made from the same definitions. */
import { type Argument, Command } from 'commander';
import { examplesText, type Shell } from './command.ts';
import { accessCommand } from './commands/access.ts';
import { archiveCommand } from './commands/archive.ts';
import { askCommand } from './commands/ask.ts';
import { clusterCommand } from './commands/cluster.ts';
import { addCompletion } from './commands/completion.ts';
import { deadCommand } from './commands/dead.ts';
import { doctorCommand } from './commands/doctor.ts';
import { downCommand } from './commands/down.ts';
import { drainCommand, undrainCommand } from './commands/drain.ts';
import { envCommand } from './commands/env.ts';
import { initCommand } from './commands/init.ts';
import { keysCommand } from './commands/keys.ts';
import { logCommand } from './commands/log.ts';
import { indexCommand } from './commands/log-index.ts';
import { nodesCommand } from './commands/nodes.ts';
import { psCommand } from './commands/ps.ts';
import { redactCommand } from './commands/redact.ts';
import { reloadCommand } from './commands/reload.ts';
import { replayCommand } from './commands/replay.ts';
import { reportCommand } from './commands/report.ts';
import { reshardCommand } from './commands/reshard.ts';
import { sendCommand } from './commands/send.ts';
import { shardsCommand } from './commands/shards.ts';
import { showCommand } from './commands/show.ts';
import { upCommand } from './commands/up.ts';
import { verifyCommand } from './commands/verify.ts';
import { witnessCommand } from './commands/witness.ts';
import { palette, wantsColour } from './render/palette.ts';

const DESCRIPTION = `Durable actors on NATS JetStream, from a supervisor config.

A command finds its realm by --data, --config, INFRAFABRIC_DATA, the realm.yaml of this
folder, or the one realm running under ./.infrafabric.`;

const FIRST_STEPS: readonly (readonly [string, string])[] = [
  ['infrafabric up', 'run the realm of this folder, or a first one'],
  ['infrafabric ask counter/k1 inc', 'ask an actor, from a second terminal'],
  ['infrafabric ps', 'see what lives'],
];

export function program(shell: Shell, version: string): Command {
  const { io } = shell;
  const colours = palette(wantsColour(io.env, io.stdout));
  const root = new Command('infrafabric')
    .description(DESCRIPTION)
    .version(version, '-V, --version', 'the version')
    .helpOption('-h, --help', 'this help')
    .helpCommand('help [command]', 'help on a command')
    .showSuggestionAfterError(true)
    // What stands behind a subcommand is the subcommand's, also where its parent has the same option.
    .enablePositionalOptions()
    .exitOverride()
    .configureOutput({
      writeOut: (text) => io.stdout.write(text),
      // Here comes the help of a command that was named without its subcommand.
      writeErr: (text) => io.stderr.write(text),
      // Errors are written by main, in the one form that all errors have.
      outputError: () => {},
      getOutHelpWidth: () => io.stdout.columns ?? 100,
      getOutHasColors: () => colours.enabled,
    })
    .configureHelp({
      subcommandTerm: (command) =>
        [command.name(), ...command.registeredArguments.map(argumentTerm)].join(' '),
      styleTitle: (title) => colours.strong(title),
      styleCommandText: (text) => colours.name(text),
    });
  root.addHelpText('after', examplesText(FIRST_STEPS, 'First steps'));
  const commands = [
    upCommand,
    downCommand,
    drainCommand,
    undrainCommand,
    clusterCommand,
    reshardCommand,
    reloadCommand,
    redactCommand,
    keysCommand,
    accessCommand,
    archiveCommand,
    psCommand,
    nodesCommand,
    shardsCommand,
    showCommand,
    logCommand,
    indexCommand,
    reportCommand,
    deadCommand,
    verifyCommand,
    replayCommand,
    witnessCommand,
    askCommand,
    sendCommand,
    envCommand,
    doctorCommand,
    initCommand,
    ...(shell.builtins.commands ?? []),
  ];
  for (const make of commands) root.addCommand(inherit(make(shell), root));
  addCompletion(root);
  return root;
}

function argumentTerm(argument: Argument): string {
  return argument.required ? `<${argument.name()}>` : `[${argument.name()}]`;
}

function inherit(command: Command, root: Command): Command {
  command.copyInheritedSettings(root);
  for (const below of command.commands) inherit(below, command);
  return command;
}
