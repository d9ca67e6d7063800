/**
 * The MCP server of one session. Tools check their own arguments, so that whatever is wrong comes back as an error with a
 * code that an agent can act on, and never as a failure of the protocol.
 */
import { Server } from '@modelcontextprotocol/server';
import { z } from 'zod';
import { FabricError } from '#schemas/fabric-error';
import { mcpErrors } from './errors.ts';
import type { News } from './news.ts';
import { done, failed, unread } from './outcome.ts';
import { listResources, readResource, templates } from './resources.ts';
import type { Seat, Tool } from './tool.ts';
import { costTools } from './tools/costs.ts';
import { oversightTools } from './tools/oversight.ts';
import { talkTools } from './tools/talk.ts';
import { taskTools } from './tools/tasks.ts';

export const tools: readonly Tool[] = [...taskTools, ...talkTools, ...oversightTools, ...costTools];

const INSTRUCTIONS = `You are a worker of an InfraFabric swarm. Loop: next_task, claim_task, work, report_progress,
complete_task (or fail_task, release_task). When you cannot go on: block_task, then next_task for a filler, or ask_for_help.
You are told of new work by notifications (resources/updated of infrafabric://board, log messages); subscribe to the board.
Put decisions on record with log_to_witness; ask people with ask_approval before what cannot be undone.`;

export interface Served {
  readonly seat: Seat;
  readonly news: News;
  readonly version: string;
}

/**
 * How the client hears of changes: on this connection, to which it subscribes; on streams of a connection whose entry knows
 * what they want; or not through this instance, which serves one request.
 */
export type Audience = 'connection' | 'streams' | 'nobody';

export function makeServer({ seat, news, version }: Served, audience: Audience): Server {
  const server = new Server(
    { name: 'infrafabric', version },
    {
      capabilities: {
        tools: {},
        resources: { subscribe: true, listChanged: true },
        ...(audience === 'connection' && { logging: {} }),
      },
      instructions: INSTRUCTIONS,
    },
  );
  server.setRequestHandler('tools/list', () => ({ tools: tools.map(described) }));
  server.setRequestHandler('tools/call', ({ params }) => call(seat, params.name, params.arguments ?? {}));
  server.setRequestHandler('resources/list', ({ params }) => read(listResources(seat, params?.cursor)));
  server.setRequestHandler('resources/templates/list', () => ({ resourceTemplates: templates }));
  server.setRequestHandler('resources/read', ({ params }) => read(readResource(seat, params.uri)));
  if (audience !== 'nobody') attach(server, news, audience === 'streams');
  return server;
}

function described({ name, title, description, input, readOnly = false }: Tool) {
  const schema = z.toJSONSchema(input, { io: 'input' }) as { type: 'object' };
  return { name, title, description, inputSchema: schema, annotations: { readOnlyHint: readOnly } };
}

async function call(seat: Seat, name: string, given: unknown) {
  try {
    const tool = tools.find((one) => one.name === name);
    if (tool === undefined) {
      throw new FabricError(mcpErrors.mcp_unknown_tool, `There is no tool ${JSON.stringify(name)}`);
    }
    const { success, data, error } = tool.input.safeParse(given);
    if (!success) throw new FabricError(mcpErrors.mcp_bad_arguments, z.prettifyError(error));
    return done(await tool.run(seat, data));
  } catch (thrown) {
    return failed(thrown);
  }
}

/** Throws a `ProtocolError` with the code, and what to do. */
async function read<T>(asked: Promise<T>): Promise<T> {
  try {
    return await asked;
  } catch (thrown) {
    throw unread(thrown);
  }
}

function attach(server: Server, news: News, isFiltered: boolean): void {
  const subscribed = new Set<string>();
  if (!isFiltered) {
    server.setRequestHandler('resources/subscribe', ({ params }) => {
      subscribed.add(params.uri);
      return {};
    });
    server.setRequestHandler('resources/unsubscribe', ({ params }) => {
      subscribed.delete(params.uri);
      return {};
    });
  }
  // A client that is just going away hears nothing more.
  const quietly = (sent: Promise<void>): void => void sent.catch(() => undefined);
  const stop = news.listen({
    updated: (uris) => {
      for (const uri of uris) {
        if (isFiltered || subscribed.has(uri)) quietly(server.sendResourceUpdated({ uri }));
      }
    },
    listChanged: () => quietly(server.sendResourceListChanged()),
    told: (level, data) => {
      if (!isFiltered) quietly(server.sendLoggingMessage({ level, logger: 'infrafabric', data }));
    },
  });
  server.onclose = stop;
}
