/** `env`: what other tools need to join the realm. */
import type { Command } from 'commander';
import { withToken } from '#runtime/bus/servers';
import { declare, handle, type Shell } from '../command.ts';
import { ENV_MARK, envMark } from '../env-mark.ts';
import { EXIT } from '../exit-codes.ts';
import type { Io, Out } from '../io.ts';
import { type Choice, locate, type Target } from '../locate.ts';

export function envCommand(shell: Shell): Command {
  const command = declare({
    name: 'env',
    summary: 'print what other tools need to join the realm, as shell exports',
    description:
      'Prints the address of the NATS server with its credentials, the realm, its data folder and the process id of the node. The output holds a secret: do not paste it.',
    group: 'Set up',
    examples: [
      [
        '(eval "$(infrafabric env)" && nats server ping)',
        'for any client, in a subshell that forgets it again',
      ],
      ['infrafabric env --json | jq -r .NATS_URL', 'one value'],
    ],
  });
  return handle(shell, command, async ({ io, out, options }) => {
    const target = found(options, io, out);
    const variables = variablesOf(target);
    out.data(variables);
    out.lines(Object.entries(variables).map(([name, value]) => `export ${name}=${quote(String(value))}`));
    return EXIT.ok;
  });
}

/** Where there is none, a shell that evaluates the output must not go on as if there were. */
function found(options: Choice, io: Io, out: Out): Target {
  try {
    return locate(options, io);
  } catch (error) {
    out.lines(['false']);
    throw error;
  }
}

/** Names and values; the URL carries the token, so that it works wherever a URL does. */
export function variablesOf(target: Target): Readonly<Record<string, string | number>> {
  const { realm, prefix, dataDir, run } = target;
  // A server that is not the node's own outlives it: its address stays right.
  const isOwnServer = run !== undefined && run.joined !== true;
  return {
    NATS_URL: withToken(target.url, target.token),
    INFRAFABRIC_PREFIX: prefix,
    ...(realm !== undefined && { INFRAFABRIC_REALM: realm }),
    ...(dataDir !== undefined && { INFRAFABRIC_DATA: dataDir }),
    ...(run !== undefined && { INFRAFABRIC_PID: run.pid, INFRAFABRIC_NODE: run.nodeId }),
    ...(isOwnServer && dataDir !== undefined && { [ENV_MARK]: envMark(target.url, dataDir) }),
    ...(run?.websocketUrl !== undefined && { INFRAFABRIC_WEBSOCKET_URL: run.websocketUrl }),
  };
}

/** Single quotes hold everything but themselves. */
function quote(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
