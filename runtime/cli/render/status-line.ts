/** A node in numbers, and in one line. Loads nothing that draws: every node needs it, few have a terminal. */
import type { NodeStatus } from '#runtime/node/api';
import { count, plural, span } from './format.ts';

export interface Totals {
  readonly actors: number;
  readonly resident: number;
  readonly timers: number;
  readonly effects: number;
  readonly queued: number;
  readonly behind: number;
  readonly commits: number;
}

export function totals(status: NodeStatus): Totals {
  const sum = (pick: (shard: NodeStatus['shards'][number]) => number): number =>
    status.shards.reduce((all, shard) => all + pick(shard), 0);
  return {
    actors: sum((s) => s.actors),
    resident: sum((s) => s.resident),
    timers: sum((s) => s.timers),
    effects: sum((s) => s.effects),
    queued: sum((s) => s.queued),
    behind: sum((s) => s.behind),
    commits: sum((s) => s.index + 1),
  };
}

/** One line: what a log file or a pipe gets. */
export function statusLine(status: NodeStatus, perSecond: number, now: number): string {
  const { actors, commits, queued, timers, effects } = totals(status);
  return [
    `${status.realm} up ${span(now - status.startedAt)}`,
    plural(actors, 'actor'),
    `${plural(commits, 'commit')} (${perSecond.toFixed(0)}/s)`,
    plural(timers, 'timer'),
    plural(effects, 'effect'),
    `${count(queued)} queued`,
  ].join(', ');
}
