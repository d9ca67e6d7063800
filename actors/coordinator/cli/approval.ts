/** `approval`: questions that wait for a person. */
import { type Command, Option } from 'commander';
import { declare, handle, type Shell } from '#runtime/cli/command';
import { EXIT, Refused } from '#runtime/cli/exit-codes';
import { APPROVAL_TYPE, type ApprovalReply, type ApprovalView, type Verdict } from '#schemas/approval';
import { FabricError } from '#schemas/fabric-error';
import { formatDuration } from '#schemas/units';
import { coordinatorErrors } from '../errors.ts';
import { type Acting, actAs, addressOption, operator } from './acting.ts';

interface AnswerOptions {
  readonly as?: string;
  readonly reason?: string;
}

export function approvalCommand(shell: Shell): Command {
  return declare({
    name: 'approval',
    summary: 'see what waits for a person, and answer',
    group: 'Work',
    examples: [
      ['infrafabric approval list', 'questions that wait'],
      ['infrafabric approval yes deploy-7 --reason "tested on staging"', 'answer one'],
    ],
  })
    .addCommand(listCommand(shell))
    .addCommand(answerCommand(shell, 'yes'))
    .addCommand(answerCommand(shell, 'no'));
}

function listCommand(shell: Shell): Command {
  const command = declare({
    name: 'list',
    summary: 'questions that wait for an answer',
    group: 'Work',
    examples: [['infrafabric approval list --json', 'for other programs']],
  }).option('--all', 'those that have their answer, too');
  return handle<[], { readonly all?: boolean }>(shell, command, async ({ io, out, options }) => {
    await using acting = await actAs(operator(), options, io);
    const { realm, client } = acting;
    let count = 0;
    for await (const { address, value } of realm.actors({ type: APPROVAL_TYPE })) {
      if (value !== 'pending' && options.all !== true) continue;
      const reply = (await client.ask(address, { type: 'approval.get' })).reply as ApprovalReply;
      if (!reply.accepted) continue;
      count += 1;
      out.data(reply.approval);
      out.lines(linesOf(reply.approval, realm.now()));
    }
    if (count === 0) out.lines(['nothing waits for an answer']);
    return EXIT.ok;
  });
}

function answerCommand(shell: Shell, answer: Verdict): Command {
  const command = declare({
    name: answer,
    summary: `answer ${answer}`,
    group: 'Work',
    examples: [[`infrafabric approval ${answer} deploy-7`, '']],
  })
    .argument('<id>', 'of the approval')
    .addOption(new Option('--as <address>', 'who answers (default operator/<user>)').argParser(addressOption))
    .option('--reason <text>', 'why, for the record');
  return handle<[string], AnswerOptions>(shell, command, async ({ io, out, options }, id) => {
    const { as = operator(), reason } = options;
    await using acting = await actAs(as, options, io);
    const reply = await answerOf(acting, id, { answer, ...(reason !== undefined && { reason }) });
    out.data(reply);
    out.lines([`${out.palette.good('✓')} ${id}: ${answer}, by ${as}`]);
    return EXIT.ok;
  });
}

async function answerOf({ client }: Acting, id: string, answer: object): Promise<ApprovalReply> {
  const event = { type: 'approval.answer', ...answer };
  const reply = (await client.ask(`${APPROVAL_TYPE}/${id}`, event)).reply as ApprovalReply;
  if (reply.accepted) return reply;
  throw new Refused(
    new FabricError(coordinatorErrors.approval_refused, reason(reply), { details: { id, code: reply.code } }),
  );
}

function reason(reply: ApprovalReply & { readonly accepted: false }): string {
  return reply.reason;
}

function linesOf(view: ApprovalView, now: number): string[] {
  const { id, status, question, by, verdict, answeredBy, dueAt } = view;
  if (status !== 'pending')
    return [`${id}  ${verdict ?? ''}  by ${answeredBy ?? 'nobody, in time'}`, `  ${question}`];
  const left = formatDuration(Math.max(0, Math.ceil(((dueAt ?? now) - now) / 1_000) * 1_000));
  return [`${id}  asked by ${by ?? 'nobody'}, ${view.default} in ${left}`, `  ${question}`];
}
