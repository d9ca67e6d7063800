/** `ask`: one event to one actor, and its answer. */
import type { Command } from 'commander';
import { fromWireError } from '#runtime/node/api';
import { parseAddress } from '#schemas/address';
import { declare, handle, type Shell, timeoutOption } from '../command.ts';
import { parseEvent } from '../events.ts';
import { EXIT, Refused } from '../exit-codes.ts';
import { openPrivacyView, revealOption } from '../privacy-view.ts';
import { withRealm } from '../realm.ts';
import { answerLines } from '../render/answer.ts';

const TIMEOUT_MS_DEFAULT = 5_000;

interface Options {
  readonly id?: string;
  readonly timeout: number;
  readonly reveal?: boolean;
}

export function askCommand(shell: Shell): Command {
  const command = declare({
    name: 'ask',
    summary: 'send an event to an actor and print its reply',
    description:
      'Sends an event to an actor and prints its reply, which comes after the commit: what is printed has happened and stays. Asked again with the same --id, the first answer comes back and nothing changes.',
    group: 'Talk',
    examples: [
      ['infrafabric ask counter/k1 inc', 'an event without fields'],
      [`infrafabric ask counter/k1 add '{"by":5}'`, 'with fields'],
      [`infrafabric ask counter/k1 '{"type":"add","by":5}' --id order-17`, 'safe to repeat'],
      ['infrafabric ask counter/k1 get --json | jq .reply.n', 'one value'],
    ],
  })
    .argument('<address>', 'type/id')
    .argument('<event>', 'event type, or the event as JSON')
    .argument('[json]', 'fields of the event')
    .option('--id <id>', 'message id: the same id is never applied twice')
    .addOption(timeoutOption(TIMEOUT_MS_DEFAULT))
    .addOption(revealOption());
  return handle<[string, string, string?], Options>(
    shell,
    command,
    async ({ io, out, options }, text, eventText, json) => {
      const { address } = parseAddress(text);
      const event = parseEvent(eventText, json);
      const { id, timeout } = options;
      return withRealm(options, io, async (realm) => {
        const answer = await realm.ask(address, event, {
          timeoutMs: timeout,
          ...(id !== undefined && { id }),
        });
        if (!answer.ok) throw new Refused(fromWireError(answer.error));
        const shown = await (await openPrivacyView(realm, out, options)).show(answer);
        out.data(shown);
        out.lines(answerLines(shown, out.palette));
        return EXIT.ok;
      });
    },
  );
}
