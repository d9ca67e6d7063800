/** Resources of the MCP server: the board, tasks, sessions. */
import { FabricError } from '#schemas/fabric-error';
import { mcpErrors } from './errors.ts';
import type { Seat } from './tool.ts';
import { existing, short } from './tools/tasks.ts';

export const BOARD_URI = 'infrafabric://board';
const MIME = 'application/json';
/** Resources of one page of the list. */
const PAGE = 500;
const URI = /^infrafabric:\/\/(board|task|session)(?:\/(.+))?$/;

export function taskUri(id: string): string {
  return `infrafabric://task/${encodeURIComponent(id)}`;
}

export const templates = [
  { uriTemplate: 'infrafabric://task/{id}', name: 'task', description: 'A task in full.', mimeType: MIME },
  { uriTemplate: 'infrafabric://session/{id}', name: 'session', description: 'A worker.', mimeType: MIME },
];

/** The board and its tasks; `cursor` is the id after which a page begins. */
export async function listResources({ coordinator }: Seat, cursor?: string) {
  const tasks = await coordinator.tasks();
  const rest = cursor === undefined ? tasks : tasks.filter(({ id }) => id > cursor);
  const page = rest.slice(0, PAGE);
  const board = {
    uri: BOARD_URI,
    name: 'board',
    description: 'All tasks, and how they stand.',
    mimeType: MIME,
  };
  const last = page.at(-1);
  return {
    resources: [
      ...(cursor === undefined ? [board] : []),
      ...page.map(({ id, title }) => ({ uri: taskUri(id), name: id, title, mimeType: MIME })),
    ],
    ...(rest.length > PAGE && last !== undefined && { nextCursor: last.id }),
  };
}

/** Throws `mcp_unknown_resource`, `unknown_task`. */
export async function readResource(seat: Seat, uri: string) {
  return { contents: [{ uri, mimeType: MIME, text: JSON.stringify(await bodyOf(seat, uri), null, 1) }] };
}

async function bodyOf(seat: Seat, uri: string): Promise<object> {
  const [, kind, token] = URI.exec(uri) ?? [];
  const id = token === undefined ? undefined : decoded(token);
  if (kind === 'board' && id === undefined) {
    return { tasks: (await seat.coordinator.tasks()).map(short) };
  }
  if (kind === 'task' && id !== undefined) {
    const [task, messages] = [await existing(seat, id), await seat.coordinator.conversation(id)];
    return { task, messages };
  }
  const session = kind === 'session' && id !== undefined ? await seat.coordinator.session(id) : undefined;
  if (session !== undefined) return { session };
  throw new FabricError(mcpErrors.mcp_unknown_resource, `There is no resource ${uri}`, { details: { uri } });
}

function decoded(token: string): string | undefined {
  try {
    return decodeURIComponent(token);
  } catch {
    // Half an escape names nothing.
    return undefined;
  }
}
