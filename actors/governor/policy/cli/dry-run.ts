/** `policy dry-run`. */
import { type Command, InvalidArgumentError } from 'commander';
import { declare, handle, moment, type Shell } from '#runtime/cli/command';
import { EXIT } from '#runtime/cli/exit-codes';
import { type Realm, withRealm } from '#runtime/cli/realm';
import { plural } from '#runtime/cli/render/format';
import type { LogItem } from '#runtime/cli/render/log';
import { table } from '#runtime/cli/render/table';
import { type LogPlace, parsePlace, seqOf } from '#runtime/index/locate-place';
import { listSessions } from '../../../coordinator/views.ts';
import { type Compared, compare, type KnownNow } from '../dry-run.ts';
import { compilePolicy } from '../policy.ts';
import { readPolicyFile } from './file.ts';

type Since = { readonly at: number } | { readonly place: LogPlace };

interface Options {
  readonly since?: Since;
  readonly all?: boolean;
}

const COLUMNS = ['when', 'place', 'who', 'action', 'on', 'was', 'would be', 'by'].map((title) => ({ title }));

export function dryRunCommand(shell: Shell): Command {
  const command = declare({
    name: 'dry-run',
    summary: 'which actions of the past a policy would have decided otherwise',
    description:
      'Reads the log and decides each action in it by the policy of a file; changes nothing. Actions that a policy decided about carry the facts of then in their entries; for older ones it takes what is known of sessions and tasks now, and says so (~).',
    group: 'Work',
    examples: [
      ['infrafabric policy dry-run policy.yaml --since 2h', 'the last two hours'],
      [
        'infrafabric policy dry-run policy.yaml --since 0.120 --all',
        'from commit 120 of shard 0 on, all of them',
      ],
    ],
  })
    .argument('<file>', 'the policy')
    .option(
      '--since <time|place>',
      '10m ago, a date and time, SHARD.INDEX, or a sequence; all when absent',
      since,
    )
    .option('--all', 'those that stay as they were, too');
  return handle<[string], Options>(shell, command, async ({ io, out, options }, file) => {
    using policy = await compilePolicy(readPolicyFile(file, io), { name: file });
    return await withRealm(options, io, async (realm) => {
      const now = await knownNow(realm);
      const rows: string[][] = [];
      const count = { looked: 0, other: 0, now: 0 };
      const signal = io.signal;
      for await (const item of realm.log(await queryOf(realm, options.since), {
        limit: 0,
        follow: false,
        signal,
      })) {
        await now.look(item.entry.actor);
        const compared = compare(policy, item.entry, now);
        if (compared === undefined) continue;
        count.looked += 1;
        if (compared.facts === 'now') count.now += 1;
        if (compared.isOther) count.other += 1;
        else if (options.all !== true) continue;
        const { shard, index, n, at } = item;
        out.data({ at, shard, index, n, ...compared });
        rows.push(rowOf(item, compared));
      }
      if (rows.length > 0) out.lines(table(COLUMNS, rows, out));
      out.lines([`${plural(count.looked, 'action')}, ${count.other} would be decided otherwise`]);
      if (count.now > 0)
        out.note(`~ ${count.now} of them by what is known now: no policy was in force then.`);
      return EXIT.ok;
    });
  });
}

function rowOf({ at, shard, index, n }: LogItem, { request, was, would, facts }: Compared): string[] {
  const { action, who, on } = request;
  return [
    new Date(at).toISOString(),
    `${shard}.${index}${n === 0 ? '' : `+${n}`}`,
    who.address,
    action,
    on?.address ?? '',
    was.outcome,
    `${would.outcome}${facts === 'now' ? ' ~' : ''}`,
    would.rules.join(', '),
  ];
}

/** Option parser. A number alone is a sequence of the log. */
function since(text: string): Since {
  const place = parsePlace(text);
  if (place !== undefined) return { place };
  try {
    return { at: moment(Date.now)(text) };
  } catch {
    throw new InvalidArgumentError('Expected 10m, a date and time, SHARD.INDEX, or a sequence of the log.');
  }
}

async function queryOf(realm: Realm, given: Since | undefined) {
  if (given === undefined) return {};
  if ('at' in given) return { since: given.at };
  return { from: await seqOf(await realm.openLog(), given.place) };
}

/** Sessions as nodes list them, and actors as they are asked for. */
async function knownNow(realm: Realm): Promise<KnownNow & { look(address: string): Promise<void> }> {
  const shards = await realm.shardCount();
  const source = { nc: realm.connection, subjects: realm.subjects, shards };
  const sessions = new Map((await listSessions(source)).map((view) => [view.id, view]));
  const contexts = new Map<string, unknown>();
  return {
    session: (id) => sessions.get(id),
    context: (address) => contexts.get(address),
    async look(address) {
      if (contexts.has(address)) return;
      // One that is gone is known no more.
      contexts.set(
        address,
        await realm.show(address).then(
          ({ context }) => context,
          () => undefined,
        ),
      );
    },
  };
}
