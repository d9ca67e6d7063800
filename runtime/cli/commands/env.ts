/** `env`: what other tools need to join the realm. */
import type { Command } from 'commander';
import { declare, handle, type Shell } from '../command.ts';
import { EXIT } from '../exit-codes.ts';
import { locate, type Target } from '../locate.ts';

export function envCommand(shell: Shell): Command {
  const command = declare({
    name: 'env',
    summary: 'print what other tools need to join the realm, as shell exports',
    description:
      'Prints the address of the NATS server with its credentials, the realm, its data folder and the process id of the node. The output holds a secret: do not paste it.',
    group: 'Set up',
    examples: [
      ['eval "$(infrafabric env)"', 'for the nats CLI and any client'],
      ['infrafabric env --json | jq -r .NATS_URL', 'one value'],
    ],
  });
  return handle(shell, command, async ({ io, out, options }) => {
    const target = locate(options, io);
    const variables = variablesOf(target);
    out.data(variables);
    out.lines(Object.entries(variables).map(([name, value]) => `export ${name}=${quote(String(value))}`));
    return EXIT.ok;
  });
}

/** Names and values; the URL carries the token, so that it works wherever a URL does. */
export function variablesOf(target: Target): Readonly<Record<string, string | number>> {
  const { realm, prefix, dataDir, run } = target;
  return {
    NATS_URL: withToken(target),
    INFRAFABRIC_PREFIX: prefix,
    ...(realm !== undefined && { INFRAFABRIC_REALM: realm }),
    ...(dataDir !== undefined && { INFRAFABRIC_DATA: dataDir }),
    ...(run !== undefined && { INFRAFABRIC_PID: run.pid, INFRAFABRIC_NODE: run.nodeId }),
    ...(run?.websocketUrl !== undefined && { INFRAFABRIC_WEBSOCKET_URL: run.websocketUrl }),
  };
}

function withToken({ url, token }: Target): string {
  if (token === undefined) return url;
  const parsed = new URL(url.includes('://') ? url : `nats://${url}`);
  return `${parsed.protocol}//${encodeURIComponent(token)}@${parsed.host}`;
}

/** Single quotes hold everything but themselves. */
function quote(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
