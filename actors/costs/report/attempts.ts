/**
 * Who worked on which task from when to when, and what came of it, as the log has it. Pure.
 *
 * A1  An attempt begins when a worker gets the task and ends when it has it no more, whatever the way: completed, failed,
 *     cancelled, given back, lost with its lease, handed on.
 * A2  What counts of a match is what the task required and the worker could when it began.
 */
import { matchOf } from '#machines/registry/match';
import type { LogItem } from '#runtime/cli/render/log';
import { record as fieldsOf, plain, text } from '#runtime/index/facets';
import { SESSION_TYPE } from '#schemas/session';
import { TASK_TYPE } from '#schemas/task';

export interface Attempt {
  readonly task: string;
  /** Address. */
  readonly worker: string;
  /** ms since the epoch. */
  readonly from: number;
  until: number;
  /** Undefined while it goes on. */
  end?: 'completed' | 'failed' | 'cancelled' | 'given back';
  /** Undefined where the log does not say what the worker can. */
  readonly match: number | undefined;
}

const HELD: ReadonlySet<unknown> = new Set(['claimed', 'in_progress', 'blocked']);

export class Attempts {
  readonly #byTask = new Map<string, Attempt[]>();
  readonly #requires = new Map<string, readonly string[]>();
  readonly #capabilities = new Map<string, readonly string[]>();

  /** Entries in the order of the log. */
  add({ at, entry }: Pick<LogItem, 'at' | 'entry'>): void {
    const [type, id] = split(entry.actor);
    const event = fieldsOf(entry.event) ?? {};
    if (type === SESSION_TYPE && event['type'] === 'session.register') {
      const capabilities = stringsOf(event['capabilities']);
      if (capabilities !== undefined) this.#capabilities.set(entry.actor, capabilities);
    }
    if (type !== TASK_TYPE) return;
    const requires = stringsOf((fieldsOf(event['spec']) ?? fieldsOf(entry.input))?.['requires']);
    if (requires !== undefined) this.#requires.set(id, requires);
    this.#move(id, at, entry, event);
  }

  /** Of a task, in their order. */
  of(task: string): readonly Attempt[] {
    return this.#byTask.get(task) ?? [];
  }

  #move(task: string, at: number, { after, reply, cause }: LogItem['entry'], event: Fields): void {
    const attempts = this.#byTask.get(task) ?? [];
    const open = attempts.findLast(({ end }) => end === undefined);
    const message = fieldsOf(event['message']);
    const content = fieldsOf(message?.['content']);
    const action = content?.['action'] ?? text(event['type'])?.slice('task.'.length);
    const isTaken = fieldsOf(reply)?.['accepted'] === true && (action === 'claim' || action === 'transfer');
    if (open !== undefined && (!HELD.has(after) || isTaken)) {
      open.until = at;
      open.end = endOf(after, action);
    }
    if (!isTaken || !HELD.has(after)) return;
    const sender = text(message?.['from']) ?? ('from' in cause ? cause.from : undefined) ?? '';
    const worker = action === 'transfer' ? text((content ?? event)['to']) : plain(sender);
    if (worker === undefined || worker === '') return;
    const has = this.#capabilities.get(worker);
    const match = has === undefined ? undefined : matchOf(this.#requires.get(task) ?? [], has);
    attempts.push({ task, worker, from: at, until: Number.POSITIVE_INFINITY, match });
    this.#byTask.set(task, attempts);
  }
}

type Fields = Readonly<Record<string, unknown>>;

function endOf(after: unknown, action: unknown): Exclude<Attempt['end'], undefined> {
  // A failed task that is offered again by itself is available at once.
  if (after === 'failed' || action === 'fail') return 'failed';
  if (after === 'completed' || after === 'cancelled') return after;
  return 'given back';
}

function split(address: string): [type: string, id: string] {
  const slash = address.indexOf('/');
  return [address.slice(0, slash), address.slice(slash + 1)];
}

function stringsOf(value: unknown): readonly string[] | undefined {
  return Array.isArray(value) && value.every((one) => typeof one === 'string') ? value : undefined;
}
