/** The TTT report; T1–T3 are the rules of runtime/index/ttt.ts. */
import { readFileSync } from 'node:fs';
import test from 'ava';
import { type Claim, TttFold, type TttReport } from '#runtime/index/ttt';
import { tttMarkdown } from '#runtime/index/ttt-markdown';
import type { Entry } from '#schemas/commit';
import type { IFMessageInput } from '#schemas/if-message';

type Said = Partial<IFMessageInput> & Pick<IFMessageInput, 'from' | 'performative'>;

let said = 0;

function entryOf(message: Said, over: Partial<Entry> = {}): Entry {
  said += 1;
  const { to = ['if://task/t1'], from } = message;
  const whole = {
    id: `m${said}`,
    conversation: 'c1',
    seq: said,
    ts: '2026-01-01T00:00:00.000Z',
    ...message,
    to,
  };
  return {
    actor: (to[0] ?? '').slice('if://'.length),
    cause: { kind: 'ask', id: whole.id },
    event: { type: `if.${message.performative}`, message: whole },
    signed: { kid: 'k1', from: from.slice('if://'.length), seq: said },
    ...over,
  };
}

function reportOf(entries: readonly Entry[]): TttReport {
  const fold = new TttFold();
  for (const [nth, entry] of entries.entries())
    fold.add({ seq: nth + 1, shard: 0, index: nth, n: 0, at: nth, entry });
  return fold.report();
}

function only(report: TttReport): Claim {
  const [claim] = report.claims;
  if (claim === undefined || report.claims.length !== 1) throw new Error(`${report.claims.length} claims`);
  return claim;
}

const a = 'if://session/a';
const b = 'if://session/b';
const claims = (over: Partial<IFMessageInput> = {}): Entry =>
  entryOf({
    from: a,
    performative: 'inform',
    id: 'c',
    content: { note: 'It is done', deliverable: 'x.py' },
    ...over,
  });

test('a claim is traceable to its entry, with its reasons, evidence and citations, and verified by its signature (T1, T2)', (t) => {
  const claim = only(
    reportOf([entryOf({ from: a, performative: 'request' }), claims({ citations: ['if://task/t0'] })]),
  );
  t.like(claim, { by: 'session/a', actor: 'task/t1', task: 'task/t1', status: 'verified', id: 'c' });
  t.deepEqual(claim.entry, { seq: 2, shard: 0, index: 1, n: 0, at: 1 });
  t.deepEqual(claim.reasons, ['It is done']);
  t.deepEqual(claim.evidence, ['x.py']);
  t.deepEqual(claim.citations, ['if://task/t0']);
  t.is(claim.rule, 'signed with key k1, checked at the edge');
  const { signed: _, ...unsigned } = claims();
  t.like(only(reportOf([unsigned])), { status: 'unverified', rule: 'nobody signed it' });
});

test('one message to several receivers is one claim with an entry for each (T1)', (t) => {
  const to = ['if://task/t1', 'if://task/t2'];
  const claim = only(reportOf([claims({ to }), { ...claims({ to }), actor: 'task/t2' }]));
  t.is(claim.entry.seq, 1);
  t.deepEqual(
    claim.furtherEntries.map(({ seq }) => seq),
    [2],
  );
});

test('a contradiction disputes a claim and is kept as it was said; taking it back revokes the claim (T2, T3)', (t) => {
  const contradiction = entryOf({
    from: b,
    performative: 'contradict',
    to: [a],
    content: { claim: 'c', reason: 'The tests fail' },
  });
  const disputed = only(reportOf([claims(), contradiction]));
  t.is(disputed.status, 'disputed');
  t.is(disputed.rule, 'session/b contradicts it, by its id');
  t.deepEqual(disputed.dissent[0]?.said, { claim: 'c', reason: 'The tests fail' });
  const agreed = entryOf({ from: a, performative: 'agree', to: [b], content: { note: 'True' } });
  const revoked = only(reportOf([claims(), contradiction, agreed]));
  t.like(revoked, { status: 'revoked', rule: 'its sender agreed with the contradiction' });
  t.is(revoked.dissent.length, 2);
  const again = entryOf({ from: b, performative: 'contradict', to: [a], content: { claim: 'c' } });
  t.is(only(reportOf([claims(), contradiction, agreed, again])).status, 'revoked', 'and never goes back');
  const own = entryOf({ from: a, performative: 'contradict', to: [b], citations: ['c'] });
  t.like(only(reportOf([claims(), own])), {
    status: 'revoked',
    rule: 'its sender contradicts it, by its id',
  });
  const unnamed = entryOf({ from: b, performative: 'contradict', to: [a], content: 'No' });
  t.regex(only(reportOf([claims(), unnamed])).rule, /as the last claim it answers/);
});

test('numbers of two workers for one question dispute each other from more than 20 % apart (T2)', (t) => {
  const number = (from: string, value: number, topic: string | undefined = 'cost'): Entry =>
    entryOf({ from, performative: 'inform', content: { value }, ...(topic !== undefined && { topic }) });
  const statuses = (...entries: Entry[]) => reportOf(entries).claims.map(({ status }) => status);
  t.deepEqual(statuses(number(a, 100), number(b, 80)), ['verified', 'verified'], 'exactly 20 %');
  t.deepEqual(statuses(number(a, 100), number(b, 79)), ['disputed', 'disputed']);
  t.deepEqual(statuses(number(a, 100), number(a, 10)), ['verified', 'verified'], 'of one worker');
  t.deepEqual(
    statuses(number(a, 100), number(b, 10, 'time')),
    ['verified', 'verified'],
    'of another question',
  );
  t.deepEqual(statuses(number(a, -1), number(b, 1)), ['disputed', 'disputed']);
  t.deepEqual(statuses(number(a, 0), number(b, 0)), ['verified', 'verified']);
});

test('a receiver that refuses a claim disputes it, and what the edge refused is listed, not claimed (T1, T2)', (t) => {
  const refused = only(reportOf([{ ...claims(), reply: { accepted: false, reason: 'not yours' } }]));
  t.like(refused, { status: 'disputed', rule: 'its receiver task/t1 refused it' });
  const dead = reportOf([
    { ...claims(), op: 'dead', error: { code: 'unsigned', message: 'No | key', retryable: false } },
  ]);
  t.is(dead.claims.length, 0);
  t.like(dead.refusals[0], { code: 'unsigned', by: 'session/a', actor: 'task/t1' });
  t.true(tttMarkdown(dead, 'r').includes('| 0.0 |'));
  t.true(tttMarkdown(dead, 'r').includes('No \\| key'));
});

test('the messages of phase 0 make a report with every inform in it', (t) => {
  const lines = readFileSync('deploy/examples/messages.jsonl', 'utf8').trim().split('\n');
  const messages = lines.map((line) => JSON.parse(line) as Said);
  const report = reportOf(messages.map((message) => entryOf(message)));
  const expected = messages.filter(({ performative }) =>
    ['inform', 'share', 'propose'].includes(performative),
  );
  t.is(report.claims.length, expected.length);
  t.is(report.count.verified, expected.length - report.count.disputed - report.count.revoked);
  const markdown = tttMarkdown(report, 'phase0');
  for (const { entry } of report.claims) t.true(markdown.includes(`(sequence ${entry.seq})`));
});

test('what workers write never becomes markup of the report', (t) => {
  const evil = '`` ` | # <script>\n## Verified';
  const markdown = tttMarkdown(reportOf([claims({ content: { note: evil }, conversation: evil })]), evil);
  t.is(markdown.split('\n').filter((line) => line === '## Verified').length, 1);
  t.false(/^\s*<script>/m.test(markdown));
});
