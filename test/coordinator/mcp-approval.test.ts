/** How an agent asks people: each question has a name, and a verdict, of its own. */
import test from 'ava';
import type { Seat } from '#actors/coordinator/mcp/tool';
import { oversightTools } from '#actors/coordinator/mcp/tools/oversight';

interface Question {
  readonly question: string;
}

/** A seat in a realm whose approvals keep the first question (A1). */
function seatOf(from: string, stand: Map<string, object>): Seat {
  const client = {
    from,
    clientId: 'one-per-server',
    ask: async (address: string, { question }: Question) => {
      const approval = stand.get(address) ?? { id: address.split('/')[1], by: from, question };
      stand.set(address, approval);
      return { reply: { accepted: true, approval } };
    },
  };
  return { client } as unknown as Seat;
}

async function ask(seat: Seat, given: object): Promise<unknown> {
  const tool = oversightTools.find(({ name }) => name === 'ask_approval');
  return await tool?.run(seat, tool.input.parse(given));
}

test('questions without an id that are put in one moment stay apart', async (t) => {
  const seat = seatOf('session/a', new Map());
  const asked = await Promise.all(
    ['Deploy?', 'Delete?', 'Deploy?'].map((question) => ask(seat, { question })),
  );
  t.deepEqual(
    (asked as { approval: Question }[]).map(({ approval }) => approval.question),
    ['Deploy?', 'Delete?', 'Deploy?'],
  );
  t.is(new Set((asked as { approval: { id: string } }[]).map(({ approval }) => approval.id)).size, 3);
});

test('an id under which another question stands, or another’s, is refused; the same question again is not', async (t) => {
  const stand = new Map<string, object>();
  const seat = seatOf('session/a', stand);
  const given = { id: 'deploy', question: 'Deploy?' };
  await ask(seat, given);
  await t.notThrowsAsync(ask(seat, given));
  await t.throwsAsync(ask(seat, { ...given, question: 'Delete?' }), { code: 'mcp_other_question' });
  await t.throwsAsync(ask(seatOf('session/b', stand), given), { code: 'mcp_other_question' });
});
