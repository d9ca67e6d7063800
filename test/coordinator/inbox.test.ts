/** What `read_messages` gives of the messages to a session. */
import test from 'ava';
import { Inbox } from '#actors/coordinator/mcp/inbox';
import type { Seat } from '#actors/coordinator/mcp/tool';
import { talkTools } from '#actors/coordinator/mcp/tools/talk';
import type { Entry } from '#schemas/commit';
import { MemoryLog } from '../rig/memory-log.ts';
import { NOW } from './world.ts';

const US = 'session/ndi';

test('more messages than are asked for come in order, those of one commit too, and none is left out', async (t) => {
  const log = new MemoryLog();
  put(log, NOW, 'before');
  const read = await reader(log);
  t.deepEqual(await read(), { said: [], more: false }, 'it begins with the session');
  const all = Array.from({ length: 60 }, (_, n) => `m${n}`);
  put(log, NOW, ...all.slice(0, 30));
  log.append({ shard: 1, at: NOW, entries: [message('session/other', 'not ours')] });
  put(log, NOW, ...all.slice(30, 58));
  for (const one of all.slice(58)) put(log, NOW, one);
  t.deepEqual(await read(), { said: all.slice(0, 50), more: true });
  put(log, NOW, 'later');
  t.deepEqual(await read({ limit: 10 }), { said: all.slice(50), more: true });
  t.deepEqual(await read(), { said: ['later'], more: false });
  t.deepEqual(await read(), { said: [], more: false });
});

test('a message whose commit was under way at a read, or whose node has another clock, comes with the next', async (t) => {
  const log = new MemoryLog();
  const read = await reader(log);
  put(log, NOW, 'first');
  t.deepEqual(await read(), { said: ['first'], more: false });
  put(log, NOW - 3, 'under way');
  put(log, NOW - 60_000, 'of a clock that is slow');
  t.deepEqual(await read(), { said: ['under way', 'of a clock that is slow'], more: false });
});

test('from a time on: the oldest since then, and the next read goes on behind them', async (t) => {
  const log = new MemoryLog();
  for (const [n, one] of ['a', 'b', 'c', 'd'].entries()) put(log, NOW + n * 1_000, one);
  const read = await reader(log);
  const since = new Date(NOW + 1_000).toISOString();
  t.deepEqual(await read({ since, limit: 2 }), { said: ['b', 'c'], more: true });
  t.deepEqual(await read(), { said: ['d'], more: false });
});

async function reader(log: MemoryLog) {
  const tool = talkTools.find(({ name }) => name === 'read_messages');
  const seat = {
    inbox: await Inbox.open({ openLog: async () => log, logEnd: async () => (await log.range()).last }, US),
  } as Seat;
  return async (given: object = {}) => {
    const found = await tool?.run(seat, tool.input.parse(given));
    const { messages, more } = found as { messages: { content: string }[]; more: boolean };
    return { said: messages.map(({ content }) => content), more };
  };
}

/** One commit. */
function put(log: MemoryLog, at: number, ...contents: string[]): void {
  log.append({ shard: 0, at, entries: contents.map((content) => message(US, content)) });
}

function message(actor: string, content: string): Entry {
  return {
    actor,
    cause: { kind: 'inbox', seq: 1, from: 'session/rtc' },
    event: { type: 'if.inform', message: { from: 'if://session/rtc', performative: 'inform', content } },
  } as Entry;
}
