/** Whether the supervision tree stands as the config has it: until then, actors that it names may not live yet. */
import { setTimeout as pause } from 'node:timers/promises';
import { SUPERVISOR_TYPE } from '#schemas/supervisor';
import type { Realm } from './realm.ts';

/** What a supervisor has done cannot be awaited from outside, only looked at. */
const LOOK_EVERY_MS = 25;
/** A tree of thousands takes longer, and one whose children fail may never stand: both go on by themselves. */
const TIMEOUT_MS = 10_000;

const BUSY: ReadonlySet<unknown> = new Set(['starting', 'applying']);

/** Resolves once no supervisor starts or changes its children any more, and after a while in any case: then with false. */
export async function treeSettled(realm: Pick<Realm, 'actors'>): Promise<boolean> {
  for (const deadline = Date.now() + TIMEOUT_MS; Date.now() < deadline; await pause(LOOK_EVERY_MS)) {
    let isBusy = false;
    for await (const { value } of realm.actors({ type: SUPERVISOR_TYPE })) isBusy ||= BUSY.has(value);
    if (!isBusy) return true;
  }
  return false;
}
