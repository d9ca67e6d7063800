/** `mcp`: the MCP server of one session. */
import { join, resolve } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { declare, durationMs, handle, type Shell, wholeNumber } from '#runtime/cli/command';
import { EXIT } from '#runtime/cli/exit-codes';
import type { Io } from '#runtime/cli/io';
import { tokenIn } from '#runtime/cli/token-file';
import { version } from '#runtime/cli/version';
import { FabricError } from '#schemas/fabric-error';
import { SESSION_TYPE } from '#schemas/session';
import { LEASE_MS_DEFAULT } from '#schemas/task';
import { openCoordinator } from '../client.ts';
import { mcpErrors } from '../mcp/errors.ts';
import { Inbox } from '../mcp/inbox.ts';
import { News } from '../mcp/news.ts';
import type { Served } from '../mcp/server.ts';
import type { Seat } from '../mcp/tool.ts';
import { actAs } from './acting.ts';

const TOKEN_FILE = 'mcp.token';
const PORT_MAX = 65_535;

interface Options {
  readonly as?: string;
  readonly capability: readonly string[];
  readonly http?: number | true;
  readonly tokenFile?: string;
  readonly root?: string;
  readonly lease: number;
  readonly data?: string;
  readonly config?: string;
}

export function mcpCommand(shell: Shell): Command {
  const command = declare({
    name: 'mcp',
    summary: 'let a coding agent join as a session, over the Model Context Protocol',
    description:
      'Serves the tools and resources of a worker over MCP: on stdin and stdout, or with --http on loopback for any agent on this machine that has the token. While it runs, the session is present and its claims are renewed; when it ends they run out, and a start under the same name within the lease takes them over.',
    group: 'Work',
    examples: [
      ['infrafabric mcp --as session/ndi --capability code:typescript', 'for an agent that starts it itself'],
      ['infrafabric mcp --as session/ndi --http 7433', 'for agents on this machine, with a token'],
    ],
  })
    .addOption(new Option('--as <session>', 'the session that works here (default INFRAFABRIC_SESSION)'))
    .addOption(
      new Option(
        '--capability <name>',
        'what it can do; may be given again (default INFRAFABRIC_CAPABILITIES)',
      )
        .argParser((name: string, before: readonly string[] = []) => [...before, name])
        .default([], 'none'),
    )
    .addOption(
      new Option(
        '--http [port]',
        'serve streamable HTTP on 127.0.0.1, on a free port where none is given',
      ).argParser(port),
    )
    .option('--token-file <file>', 'where the token of --http lies (default: made in the data folder)')
    .option('--root <dir>', 'folder of the artifacts that are handed in (default: this one)')
    .addOption(
      new Option('--lease <time>', 'how long claims outlive this server')
        .argParser(durationMs)
        .default(LEASE_MS_DEFAULT, '30s'),
    );
  return handle<[], Options>(shell, command, async ({ io, options, out }) => {
    const from = options.as ?? io.env['INFRAFABRIC_SESSION'];
    await using acting = await actAs(from, options, io, true);
    if (!acting.as.startsWith(`${SESSION_TYPE}/`))
      throw new FabricError(mcpErrors.mcp_bad_session, `${acting.as} is no session: whose server is it?`);
    await using coordinator = openCoordinator(acting.client, { leaseMs: options.lease });
    using news = new News(coordinator);
    const seat: Seat = {
      coordinator,
      client: acting.client,
      realm: acting.realm,
      inbox: await Inbox.open(acting.realm, coordinator.as),
      root: resolve(io.cwd, options.root ?? '.'),
      lost: (task, why) => news.tell('warning', { event: 'claim_lost', task, why }),
    };
    const adopted = await coordinator.registerSession(profileOf(options, io));
    const served = { seat, news, version: version() };
    const kept = adopted.length === 0 ? '' : `, goes on with ${adopted.join(', ')}`;
    if (options.http === undefined) {
      out.note(`${coordinator.as} serves MCP on stdin and stdout${kept}`);
      await serveStdin(served, io);
    } else {
      const file = options.tokenFile ?? join(acting.realm.target.dataDir ?? io.cwd, TOKEN_FILE);
      const { openHttp } = await import('../mcp/http.ts');
      const port = options.http === true ? 0 : options.http;
      await using door = await openHttp(served, tokenIn(resolve(io.cwd, file)), port);
      out.data({ ok: true, as: coordinator.as, url: door.url, tokenFile: file });
      out.lines([`${coordinator.as} serves MCP on ${door.url}${kept}`, `  token in ${file}`]);
      await aborted(io.signal);
    }
    return EXIT.ok;
  });
}

function port(text: string): number {
  const given = wholeNumber(text);
  if (given > PORT_MAX) throw new InvalidArgumentError(`Expected a port, 0 to ${PORT_MAX}.`);
  return given;
}

function profileOf({ capability }: Options, { env }: Io) {
  const given = env['INFRAFABRIC_CAPABILITIES'] ?? '';
  const capabilities =
    capability.length > 0 ? [...capability] : given.split(',').filter((name) => name !== '');
  const swarm = env['INFRAFABRIC_SWARM'];
  return {
    ...(capabilities.length > 0 && { capabilities }),
    ...(swarm !== undefined && swarm !== '' && { swarm }),
  };
}

/** Until the agent closes our stdin, or we are told to stop. */
async function serveStdin(served: Served, io: Io): Promise<void> {
  const { serveStdio, StdioServerTransport } = await import('@modelcontextprotocol/server/stdio');
  const { makeServer } = await import('../mcp/server.ts');
  const transport = new StdioServerTransport(io.stdin as Readable, io.stdout as Writable);
  const handle = serveStdio(({ era }) => makeServer(served, era === 'modern' ? 'streams' : 'connection'), {
    transport,
  });
  const ended = new Promise<void>((resolve) => {
    io.stdin.once('end', resolve).once('close', resolve);
  });
  await Promise.race([ended, aborted(io.signal)]);
  await handle.close();
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
