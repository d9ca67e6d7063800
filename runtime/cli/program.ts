/** All commands. `main` runs them; the command reference and shell completion are made from the same definitions. */
import { type Argument, Command } from 'commander';
import { type CommandTable, examplesText, type Shell } from './command.ts';
import { palette, wantsColour } from './render/palette.ts';

const VERSION_FLAGS: readonly string[] = ['-V', '--version'];

/** In the order of the help. */
const COMMANDS: CommandTable = {
  up: async () => (await import('./commands/up.ts')).upCommand,
  down: async () => (await import('./commands/down.ts')).downCommand,
  drain: async () => (await import('./commands/drain.ts')).drainCommand,
  undrain: async () => (await import('./commands/drain.ts')).undrainCommand,
  cluster: async () => (await import('./commands/cluster.ts')).clusterCommand,
  reshard: async () => (await import('./commands/reshard.ts')).reshardCommand,
  reload: async () => (await import('./commands/reload.ts')).reloadCommand,
  redact: async () => (await import('./commands/redact.ts')).redactCommand,
  keys: async () => (await import('./commands/keys.ts')).keysCommand,
  access: async () => (await import('./commands/access.ts')).accessCommand,
  archive: async () => (await import('./commands/archive.ts')).archiveCommand,
  ps: async () => (await import('./commands/ps.ts')).psCommand,
  nodes: async () => (await import('./commands/nodes.ts')).nodesCommand,
  shards: async () => (await import('./commands/shards.ts')).shardsCommand,
  show: async () => (await import('./commands/show.ts')).showCommand,
  log: async () => (await import('./commands/log.ts')).logCommand,
  index: async () => (await import('./commands/log-index.ts')).indexCommand,
  report: async () => (await import('./commands/report.ts')).reportCommand,
  dead: async () => (await import('./commands/dead.ts')).deadCommand,
  verify: async () => (await import('./commands/verify.ts')).verifyCommand,
  replay: async () => (await import('./commands/replay.ts')).replayCommand,
  witness: async () => (await import('./commands/witness.ts')).witnessCommand,
  ask: async () => (await import('./commands/ask.ts')).askCommand,
  send: async () => (await import('./commands/send.ts')).sendCommand,
  env: async () => (await import('./commands/env.ts')).envCommand,
  doctor: async () => (await import('./commands/doctor.ts')).doctorCommand,
  init: async () => (await import('./commands/init.ts')).initCommand,
};

const DESCRIPTION = `Durable actors on NATS JetStream, from a supervisor config.

A command finds its realm by --data, --config, INFRAFABRIC_DATA, the realm.yaml of this
folder, or the one realm running under ./.infrafabric.`;

const FIRST_STEPS: readonly (readonly [string, string])[] = [
  ['infrafabric up', 'run the realm of this folder, or a first one'],
  ['infrafabric ask counter/k1 inc', 'ask an actor, from a second terminal'],
  ['infrafabric ps', 'see what lives'],
];

/**
 * The program with all its commands, or with `only` that one: to load them all takes longer than most commands
 * run. A name that is none gives all, for the suggestion in the error.
 */
export async function program(shell: Shell, version: string, only?: string): Promise<Command> {
  const { io } = shell;
  const colours = palette(wantsColour(io.env, io.stdout));
  const root = new Command('infrafabric')
    .description(DESCRIPTION)
    .version(version, VERSION_FLAGS.join(', '), 'the version')
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
  const table = { ...COMMANDS, ...shell.distribution.commands };
  if (only !== undefined && VERSION_FLAGS.includes(only)) return root;
  const wanted = only !== undefined && Object.hasOwn(table, only) ? [only] : Object.keys(table);
  const commands = await Promise.all(wanted.map((name) => table[name]?.()));
  for (const make of commands) if (make !== undefined) root.addCommand(inherit(make(shell), root));
  if (only === undefined || !Object.hasOwn(table, only)) {
    const { addCompletion } = await import('./commands/completion.ts');
    addCompletion(root);
  }
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
