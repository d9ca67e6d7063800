/** Whether the supervision tree stands as the config has it: until then, actors that it names may not live yet. */
import { setTimeout as pause } from 'node:timers/promises';
import { memberErrors } from '#runtime/members/errors';
import { nodeErrors } from '#runtime/node/errors';
import { FabricError } from '#schemas/fabric-error';
import { SUPERVISOR_TYPE } from '#schemas/supervisor';
import type { Realm } from './realm.ts';
import { shardRows } from './render/nodes.ts';
import { silenceOf } from './silent-shards.ts';

/** What a supervisor has done cannot be awaited from outside, only looked at. */
const LOOK_EVERY_MS = 25;
/** A tree of thousands takes longer, and one whose children fail may never stand: both go on by themselves. */
const TIMEOUT_MS = 10_000;
/** Shards of nodes that died are free after a lease's time, and may pass by other nodes that have died too. */
const SILENCE_MS = 30_000;

const BUSY: ReadonlySet<unknown> = new Set(['starting', 'applying']);

type Looked = Pick<Realm, 'actors' | 'members' | 'statuses'>;

interface Choice {
  readonly timeoutMs?: number;
  readonly silenceMs?: number;
  /** Set once the node that was started has ended: then nobody is going to answer. */
  readonly failure?: () => FabricError | undefined;
}

/**
 * Resolves once no supervisor starts or changes its children any more, and after a while in any case: then with false.
 *
 * A shard that nobody answers for may be on its way to another node: it is waited for. Where it never comes the error says
 * why: `shard_unplaced`, `shard_failed` or `shard_unowned`; `realm_unreachable` where no node at all answers.
 */
export async function treeSettled(
  realm: Looked,
  { timeoutMs = TIMEOUT_MS, silenceMs = SILENCE_MS, failure }: Choice = {},
): Promise<boolean> {
  const startedAt = Date.now();
  // A node that gives up for the same reason ends: then it can only be said what it told before.
  let why: FabricError | undefined;
  for (;;) {
    try {
      if (!(await isBusy(realm))) return true;
      if (Date.now() - startedAt >= timeoutMs) return false;
    } catch (thrown) {
      if (!isSilence(thrown)) throw thrown;
      why = (await reasonOf(realm)) ?? why;
      const ended = failure?.();
      if (ended !== undefined) throw why ?? ended;
      // That no node can run a shard, with those that are there, changes only if one more comes.
      const mayCome = why === undefined || why.code === memberErrors.shard_unowned.code;
      if (Date.now() - startedAt >= (mayCome ? silenceMs : timeoutMs)) throw why ?? thrown;
    }
    await pause(LOOK_EVERY_MS);
  }
}

async function isBusy(realm: Looked): Promise<boolean> {
  let found = false;
  for await (const { value } of realm.actors({ type: SUPERVISOR_TYPE })) found ||= BUSY.has(value);
  return found;
}

/** Undefined where no node tells, or every shard runs by now. */
async function reasonOf(realm: Looked): Promise<FabricError | undefined> {
  try {
    const [members, statuses] = await Promise.all([realm.members(), realm.statuses()]);
    return silenceOf(shardRows(members, statuses), members.members);
  } catch (thrown) {
    if (isSilence(thrown)) return undefined;
    throw thrown;
  }
}

function isSilence(thrown: unknown): boolean {
  return thrown instanceof FabricError && thrown.code === nodeErrors.realm_unreachable.code;
}
