/** What became of a task, in sentences, each with the place of its entry in the log. Pure. */
import type { LogItem } from '#runtime/cli/render/log';
import type { Cause } from '#schemas/commit';

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
  const type = typeof event['type'] === 'string' ? event['type'] : '';
  if (type === 'task.add') return `added by ${String(event['addedBy'] ?? senderOf(entry.cause))}`;
  if (type === 'xstate.done.actor.lease' && entry.after === 'available')
    return 'its lease ended: available again';
  if (type === 'task.dep_completed') return `${senderOf(entry.cause)} was completed`;
  const message = fieldsOf(event['message']);
  const content = fieldsOf(message['content']);
  const action = type.startsWith('task.') ? type.slice('task.'.length) : content['action'];
  const deed = typeof action === 'string' ? DEEDS[action] : undefined;
  if (deed === undefined) return undefined;
  const from =
    typeof message['from'] === 'string' ? message['from'].replace(/^if:\/\//, '') : senderOf(entry.cause);
  const reply = fieldsOf(entry.reply);
  if (reply['accepted'] === false)
    return `${from} wanted to ${String(action)} it and was refused: ${String(reply['reason'] ?? reply['code'])}`;
  const said = action === 'claim' ? event : { ...event, ...content };
  const reason = typeof said['reason'] === 'string' ? `: ${said['reason']}` : '';
  const on = action === 'block' ? ` on ${String(said['on'])}` : '';
  const token =
    action === 'claim' && reply['token'] !== undefined ? ` under token ${String(reply['token'])}` : '';
  return `${from} ${deed}${on}${token}${reason}`;
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
