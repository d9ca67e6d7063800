/** What became of a task, in sentences, each with the place of its entry in the log. Pure. */
import type { LogItem } from '#runtime/cli/render/log';
import { messageOf, plain, text } from '#runtime/index/facets';
import type { Cause, Entry } from '#schemas/commit';
import { permitSchema } from '#schemas/worker';
import { reasonOf } from './checked.ts';

export interface Told {
  /** ms since the epoch. */
  readonly at: number;
  /** SHARD.INDEX of the commit. */
  readonly place: string;
  readonly text: string;
}

/** Words a worker or an operator says to a task, and what they mean once they are accepted. */
const DEEDS: Readonly<Record<string, string>> = {
  claim: 'claimed it',
  release: 'gave it back',
  transfer: 'passed it on',
  block: 'was blocked',
  unblock: 'unblocked it',
  complete: 'completed it',
  fail: 'failed it',
  cancel: 'cancelled it',
  retry: 'offered it again',
  override: 'overrode its gate',
  help: 'asked for help',
  join: 'joined in',
};

/** Who got it and who did not, in the order of the log; progress and reading are no part of it. */
export function storyOf(items: readonly LogItem[]): Told[] {
  return items.flatMap((item) => {
    const text = sentence(item);
    return text === undefined ? [] : [{ at: item.at, place: `${item.shard}.${item.index}`, text }];
  });
}

function sentence({ entry }: LogItem): string | undefined {
  const event = fieldsOf(entry.event);
  const type = text(event['type']) ?? '';
  const from = actedBy(entry);
  // Mail counts only from whom the task takes it (T5); anybody may write the same.
  if (type === 'task.add')
    return from.startsWith('board/') && isNew(entry)
      ? `added by ${String(event['addedBy'] ?? from)}`
      : undefined;
  if (type === 'xstate.done.actor.lease' && entry.after === 'available')
    return 'its lease ended: available again';
  if (type === 'task.dep_completed') return from.startsWith('task/') ? `${from} was completed` : undefined;
  if (type === 'task.permit') return permitted(entry, from);
  if (type === 'xstate.timer.check') return 'the governor did not answer, and the claim was refused';
  const content = fieldsOf(messageOf(event)?.['content']);
  const action = type.startsWith('task.') ? type.slice('task.'.length) : content['action'];
  const deed = typeof action === 'string' ? DEEDS[action] : undefined;
  if (deed === undefined) return undefined;
  const reply = fieldsOf(entry.reply);
  const refusal = refusalOf(entry);
  if (refusal !== undefined) return `${from} wanted to ${String(action)} it and was refused: ${refusal}`;
  if (reply['checking'] === true) return `${from} asked for it; the governor is asked`;
  const said = action === 'claim' ? event : { ...event, ...content };
  const reason = typeof said['reason'] === 'string' ? `: ${said['reason']}` : '';
  const on = action === 'block' ? ` on ${String(said['on'])}` : '';
  const token =
    action === 'claim' && reply['token'] !== undefined ? ` under token ${String(reply['token'])}` : '';
  return `${from} ${deed}${on}${token}${reason}`;
}

/** What is there already keeps what it has: adding it again changed nothing. A task that others wait for is known before. */
function isNew({ op, before = 'absent' }: Entry): boolean {
  return op !== 'dead' && before === 'absent';
}

/** The word of a worker's entry in the registry; a permit that came too late made nobody's claim. */
function permitted({ event, before, after }: Entry, from: string): string | undefined {
  const { success, data } = permitSchema.safeParse(event);
  if (!success || !from.startsWith('worker/')) return undefined;
  const worker = from.replace('worker/', 'session/');
  if (!data.permitted) return `${worker} wanted to claim it and was refused: ${reasonOf(data)}`;
  return before !== 'claimed' && after === 'claimed'
    ? `${worker} claimed it: the governor permits it`
    : undefined;
}

/** What never reached the task was refused, too. */
function refusalOf({ op, reply, error }: Entry): string | undefined {
  if (op === 'dead') return error?.message ?? 'it did not reach the task';
  const { accepted, reason, code } = fieldsOf(reply);
  return accepted === false ? String(reason ?? code) : undefined;
}

/** Whom the task took for the sender: what an unsigned message says of itself counts only where nobody is known. */
function actedBy({ signed, cause, event }: Entry): string {
  const known = signed?.from ?? ('from' in cause ? cause.from : undefined);
  if (known !== undefined) return known;
  const named = text(messageOf(event)?.['from']);
  return named === undefined ? senderOf(cause) : plain(named);
}

function senderOf(cause: Cause): string {
  switch (cause.kind) {
    case 'ask':
    case 'inbox':
      return cause.from ?? 'somebody';
    case 'mail':
      return cause.from;
    case 'admin':
      return cause.by;
    case 'timer':
    case 'effect':
      return 'the realm';
  }
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
}
