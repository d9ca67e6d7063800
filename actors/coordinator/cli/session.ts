/** `session`: who works. */
import type { Command } from 'commander';
import { declare, handle, type Shell } from '#runtime/cli/command';
import { EXIT, Refused } from '#runtime/cli/exit-codes';
import { FabricError } from '#schemas/fabric-error';
import { coordinatorErrors } from '../errors.ts';
import { sessionLines, sessionTable } from '../pictures/one-task.ts';
import { type ActingOptions, withActing, withDesk } from './with-desk.ts';

export function sessionCommand(shell: Shell): Command {
  return declare({
    name: 'session',
    summary: 'who works: sessions, what they can do and what they have',
    group: 'Work',
    examples: [
      ['infrafabric session list', 'all of them'],
      ['infrafabric session show cli', 'one'],
    ],
  })
    .addCommand(listCommand(shell))
    .addCommand(showCommand(shell));
}

function listCommand(shell: Shell): Command {
  const command = declare({
    name: 'list',
    summary: 'list sessions',
    group: 'Work',
    examples: [
      ['infrafabric session list', 'all that ever registered'],
      ['infrafabric session list --here', 'those that are there'],
    ],
  }).option('--here', 'only those that are there');
  return handle<[], ActingOptions & { readonly here?: boolean }>(shell, withActing(command), async (run) => {
    const { options, out } = run;
    return await withDesk(run, async (desk) => {
      const all = await desk.sessions();
      const sessions = all.filter(
        ({ status }) => options.here !== true || !['absent', 'away', 'gone'].includes(status),
      );
      for (const session of sessions) out.data(session);
      if (sessions.length > 0) out.lines(sessionTable(sessions, out));
      else
        out.lines(
          all.length === 0
            ? ['No session ever registered. docs/agents.md shows how one does.']
            : ['No session is there.'],
        );
      return EXIT.ok;
    });
  });
}

function showCommand(shell: Shell): Command {
  const command = declare({
    name: 'show',
    summary: 'show one session',
    group: 'Work',
    examples: [['infrafabric session show cli', 'what it can do, has and did']],
  }).argument('<id>', 'the session');
  return handle<[string], ActingOptions>(shell, withActing(command), async (run, named) => {
    const { out } = run;
    const id = named.replace(/^session\//, '');
    return await withDesk(run, async (desk) => {
      const session = await desk.session(id);
      if (session === undefined)
        throw new Refused(new FabricError(coordinatorErrors.session_unknown, `There is no session ${id}`));
      out.data(session);
      out.lines(sessionLines(session, desk.realm.now(), out));
      return EXIT.ok;
    });
  });
}
