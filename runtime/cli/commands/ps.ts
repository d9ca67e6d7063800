/** `ps`: what lives, as the supervision tree or as a list. */
import type { Command } from 'commander';
import type { ActorSummary } from '#runtime/node/api';
import { isActorType } from '#schemas/address';
import { FabricError } from '#schemas/fabric-error';
import { declare, handle, type Shell, wholeNumber } from '../command.ts';
import { cliErrors } from '../errors.ts';
import { EXIT } from '../exit-codes.ts';
import type { Out } from '../io.ts';
import { type Realm, withRealm } from '../realm.ts';
import { plural, span } from '../render/format.ts';
import { totals } from '../render/status-line.ts';
import { actorList, actorTree, nobodyLines } from '../render/tree.ts';

/** Actors a tree is built of: beyond, a tree helps nobody and a list is streamed instead. */
const TREE_ACTORS_MAX = 5_000;
/** Children shown below one parent unless --all. */
const CHILDREN_SHOWN = 100;
/** Rows of a list that are aligned together. */
const PAGE_ROWS = 200;

interface Options {
  readonly type?: string;
  readonly flat?: boolean;
  readonly all?: boolean;
  readonly limit?: number;
}

export function psCommand(shell: Shell): Command {
  const command = declare({
    name: 'ps',
    summary: 'show what lives: the supervision tree and the state of every actor',
    group: 'Look',
    examples: [
      ['infrafabric ps', 'the supervision tree'],
      ['infrafabric ps --type task', 'the actors of one type'],
      ['infrafabric ps --flat --json | jq -r .address', 'every address'],
    ],
  })
    .option('-t, --type <type>', 'only actors of this type')
    .option('-f, --flat', 'a list by address instead of a tree')
    .option('-a, --all', `every child, however many (${CHILDREN_SHOWN} below one parent otherwise)`)
    .option('-n, --limit <n>', 'as many actors at most', wholeNumber);
  return handle<[], Options>(shell, command, async ({ io, out, options }) => {
    const { type, limit = Number.POSITIVE_INFINITY } = options;
    if (type !== undefined && !isActorType(type)) {
      throw new FabricError(cliErrors.usage, `"${type}" is not an actor type`);
    }
    return withRealm(options, io, async (realm) => {
      if (out.json || options.flat === true || type !== undefined) await list(realm, out, { type, limit });
      else await tree(realm, out, options.all === true ? Number.POSITIVE_INFINITY : CHILDREN_SHOWN, limit);
      return EXIT.ok;
    });
  });
}

async function list(
  realm: Realm,
  out: Out,
  query: { type: string | undefined; limit: number },
): Promise<void> {
  let page: ActorSummary[] = [];
  let seen = 0;
  const flush = (): void => {
    if (page.length > 0) out.lines(actorList(page, out).slice(seen === page.length ? 0 : 1));
    page = [];
  };
  for await (const actor of realm.actors({ ...(query.type !== undefined && { type: query.type }) })) {
    if (seen >= query.limit) break;
    seen += 1;
    out.data(actor);
    page.push(actor);
    if (page.length === PAGE_ROWS) flush();
  }
  flush();
  if (seen === 0) out.lines(nobodyLines(query.type, out.palette));
}

async function tree(realm: Realm, out: Out, childrenMax: number, limit: number): Promise<void> {
  const statuses = await realm.statuses();
  const actors: ActorSummary[] = [];
  const max = Math.min(limit, childrenMax === Number.POSITIVE_INFINITY ? limit : TREE_ACTORS_MAX);
  for await (const actor of realm.actors({})) {
    if (actors.length >= max) break;
    actors.push(actor);
  }
  if (actors.length === 0) return out.lines(nobodyLines(undefined, out.palette));
  out.lines(actorTree(actors, out, childrenMax));
  const all = statuses.reduce((sum, status) => sum + totals(status).actors, 0);
  const first = Math.min(...statuses.map(({ startedAt }) => startedAt));
  const node = plural(statuses.length, 'node');
  out.lines(['', out.palette.faint(`${plural(all, 'actor')} on ${node}, up ${span(realm.now() - first)}`)]);
  if (actors.length < all && actors.length >= max) {
    out.lines([out.palette.faint('Only the first are shown; `infrafabric ps --flat` lists all.')]);
  }
}
