/** The HTTP door of the MCP server, without a realm. */
import test from 'ava';
import { openHttp } from '#actors/coordinator/mcp/http';
import type { News } from '#actors/coordinator/mcp/news';
import type { Seat } from '#actors/coordinator/mcp/tool';

const TOKEN = 'a-token-of-this-test-0123456789';
const SESSIONS_MAX = 64;
const INITIALIZE = {
  method: 'initialize',
  params: { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 't', version: '1' } },
};

test('a request that opens no session leaves nothing behind, and of those that do only so many stay', async (t) => {
  const listeners = new Set<unknown>();
  const news = {
    listen(listener: unknown) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  } as unknown as News;
  await using door = await openHttp({ seat: {} as Seat, news, version: '1' }, TOKEN, 0);
  const own = listeners.size;
  const post = async (message: object, more: Record<string, string> = {}) => {
    const response = await fetch(door.url, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${TOKEN}`,
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
        ...more,
      },
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, ...message }),
    });
    await response.text();
    return response;
  };
  for (let n = 0; n < 20; n += 1) t.is((await post({ method: 'tools/list' })).status, 400);
  t.is(listeners.size, own);
  const opened = await post(INITIALIZE);
  t.is(opened.status, 200);
  t.is(listeners.size, own + 1);
  const session = opened.headers.get('mcp-session-id') ?? '';
  t.is((await post({ method: 'tools/list' }, { 'mcp-session-id': session })).status, 200);
  for (let n = 0; n < SESSIONS_MAX; n += 1) await post(INITIALIZE);
  t.is(listeners.size, own + SESSIONS_MAX);
  t.is((await post({ method: 'tools/list' }, { 'mcp-session-id': session })).status, 404);
});
