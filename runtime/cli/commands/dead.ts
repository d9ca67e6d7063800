/** `dead`: messages nobody could take, why, and how to send them again. */
import { Command } from 'commander';
import { FabricError } from '#schemas/fabric-error';
import { declare, handle, type Shell, wholeNumber } from '../command.ts';
import { cliErrors } from '../errors.ts';
import { EXIT } from '../exit-codes.ts';
import { openPrivacyView } from '../privacy-view.ts';
import { type Letter, type Realm, withRealm } from '../realm.ts';
import { letterLines, letterTable } from '../render/letters.ts';

const LETTERS_SHOWN = 50;

export function deadCommand(shell: Shell): Command {
  const command = declare({
    name: 'dead',
    summary: 'list, show and retry messages that nobody could take',
    description: 'Refused and poisonous messages are kept with the reason. Nothing is refused silently.',
    group: 'Look',
    examples: [
      ['infrafabric dead list', 'the newest'],
      ['infrafabric dead show 3', 'one, with the message as it came'],
      ['infrafabric dead retry 3', 'send it again'],
    ],
  });
  return command
    .addCommand(listCommand(shell))
    .addCommand(showCommand(shell))
    .addCommand(retryCommand(shell));
}

function listCommand(shell: Shell): Command {
  const command = new Command('list')
    .description('list the newest dead letters')
    .option('-n, --limit <n>', 'as many at most', wholeNumber, LETTERS_SHOWN);
  return handle<[], { readonly limit: number }>(shell, command, ({ io, out, options }) =>
    withRealm(options, io, async (realm) => {
      const view = await openPrivacyView(realm, out, {});
      const letters = await view.show(await realm.letters(options.limit));
      for (const letter of letters) out.data(letter);
      out.lines(letterTable(letters, realm.now(), out));
      return EXIT.ok;
    }),
  );
}

function showCommand(shell: Shell): Command {
  const command = new Command('show')
    .description('show one dead letter with the message as it came')
    .argument('<number>', 'its number in the list', wholeNumber);
  return handle<[number], object>(shell, command, ({ io, out, options }, seq) =>
    withRealm(options, io, async (realm) => {
      const view = await openPrivacyView(realm, out, {});
      const letter = await view.show(await letterOf(realm, seq));
      out.data(letter);
      out.lines(letterLines(letter, realm.now(), out));
      return EXIT.ok;
    }),
  );
}

function retryCommand(shell: Shell): Command {
  const command = new Command('retry')
    .description('send the original message again, under a fresh id')
    .argument('<number>', 'its number in the list', wholeNumber);
  return handle<[number], object>(shell, command, ({ io, out, options }, seq) =>
    withRealm(options, io, async (realm) => {
      const letter = await letterOf(realm, seq);
      const sent = await realm.retry(letter);
      out.data({ ok: true, letter: seq, actor: letter.actor, ...sent });
      const { good, name, faint } = out.palette;
      out.lines([
        `${good('✓')} sent again to ${name(letter.actor)} under the fresh id ${sent.id}`,
        faint('The letter stays in the list; if the message is refused again, a new one joins it.'),
      ]);
      return EXIT.ok;
    }),
  );
}

async function letterOf(realm: Realm, seq: number): Promise<Letter> {
  const letter = await realm.letter(seq);
  if (letter === undefined) throw new FabricError(cliErrors.letter_missing, `There is no dead letter ${seq}`);
  return letter;
}
