/** `drain`: empties a node and waits until it runs no shard; `undrain` takes that back. */
import { setTimeout as pause } from 'node:timers/promises';
import type { Command } from 'commander';
import { memberErrors } from '#runtime/members/errors';
import { FabricError } from '#schemas/fabric-error';
import type { Member } from '#schemas/member';
import { declare, handle, type Shell, timeoutOption } from '../command.ts';
import { cliErrors } from '../errors.ts';
import { EXIT } from '../exit-codes.ts';
import type { Io, Out } from '../io.ts';
import { progress } from '../progress.ts';
import { type Realm, withRealm } from '../realm.ts';
import { plural, span } from '../render/format.ts';

/** A move takes a second at most; a node has some dozens of shards, four of them on their way at a time. */
const TIMEOUT_MS_DEFAULT = 60_000;
/** A node's row changes as shards leave: soon enough for the eye. */
const LOOK_EVERY_MS = 100;

interface Options {
  readonly timeout: number;
}

export function drainCommand(shell: Shell): Command {
  const command = declare({
    name: 'drain',
    summary: 'move every shard away from a node',
    description:
      'Moves every shard of a node to others and waits until it runs none; who asks meanwhile waits some milliseconds longer. The node takes no shard before `infrafabric undrain`, also after a restart. Shards that no other node can run stay.',
    group: 'Run',
    examples: [
      ['infrafabric drain web-2', 'before the node is stopped, changed or moved'],
      ['infrafabric drain web-2 --timeout 5m', 'with more patience'],
    ],
  })
    .argument('<node>', 'name or id of the node, as `infrafabric nodes` shows it')
    .addOption(timeoutOption(TIMEOUT_MS_DEFAULT));
  return handle<[string], Options>(shell, command, ({ io, out, options }, text) =>
    withRealm(options, io, async (realm) => {
      const node = nodeNamed(text, (await realm.members()).members);
      const startedAt = realm.now();
      await realm.drain(node.id, true);
      const moved = await emptied(realm, node, { io, out, timeoutMs: options.timeout });
      const tookMs = realm.now() - startedAt;
      out.data({ ok: true, node: node.name, id: node.id, moved, tookMs });
      out.lines([
        `${out.palette.good('✓')} ${node.name} runs no shard; ${plural(moved, 'shard')} moved in ${span(tookMs)}`,
      ]);
      return EXIT.ok;
    }),
  );
}

export function undrainCommand(shell: Shell): Command {
  const command = declare({
    name: 'undrain',
    summary: 'let a drained node take shards again',
    group: 'Run',
    examples: [['infrafabric undrain web-2', 'its shards come back within seconds']],
  }).argument('<node>', 'name or id of the node, as `infrafabric nodes` shows it');
  return handle<[string], object>(shell, command, ({ io, out, options }, text) =>
    withRealm(options, io, async (realm) => {
      const node = nodeNamed(text, (await realm.members()).members);
      await realm.drain(node.id, false);
      out.data({ ok: true, node: node.name, id: node.id });
      out.lines([`${out.palette.good('✓')} ${node.name} takes shards again`]);
      return EXIT.ok;
    }),
  );
}

/** By its name, its id, or as much of the end of its id as tells it from the others. Throws `node_unknown`. */
function nodeNamed(text: string, members: readonly Member[]): Member {
  const named = members.find(({ name, id }) => name === text || id === text);
  const [only, another] = members.filter(({ id }) => id.endsWith(text));
  const found = named ?? (another === undefined ? only : undefined);
  if (found !== undefined) return found;
  const known = members.map(({ name }) => name).join(', ');
  throw new FabricError(memberErrors.node_unknown, `No node is named ${text}; there are: ${known}`);
}

/** Waits until a node runs no shard, or has gone; gives how many it ran. Throws `drain_timeout`. */
async function emptied(
  realm: Realm,
  node: Member,
  { io, out, timeoutMs }: { readonly io: Io; readonly out: Out; readonly timeoutMs: number },
): Promise<number> {
  const total = Object.keys(node.shards).length;
  const bar = progress(io, out, total === 0 ? undefined : total, 'moved');
  const deadline = realm.now() + timeoutMs;
  let left = total;
  try {
    for (;;) {
      const { members } = await realm.members();
      const now = members.find(({ id }) => id === node.id);
      const shards = Object.keys(now?.shards ?? {});
      bar.advance(Math.max(0, left - shards.length), total - shards.length);
      left = Math.min(left, shards.length);
      if (shards.length === 0) return total;
      if (realm.now() > deadline) {
        const isAlone = !members.some(({ id, state }) => id !== node.id && state === 'up');
        const why = isAlone ? '; no other node is up' : '';
        throw new FabricError(
          cliErrors.drain_timeout,
          `${node.name} still runs ${plural(shards.length, 'shard')} after ${span(timeoutMs)}: ${shards.join(', ')}${why}`,
          { details: { node: node.name, shards: shards.map(Number) } },
        );
      }
      await pause(LOOK_EVERY_MS, undefined, { signal: io.signal });
    }
  } finally {
    bar.stop();
  }
}
