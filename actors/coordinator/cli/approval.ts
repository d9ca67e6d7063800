/** `approve`: questions, and held actions, that wait for a person. */
import { type Command, Option } from 'commander';
import { declare, handle, type Shell } from '#runtime/cli/command';
import { EXIT, Refused } from '#runtime/cli/exit-codes';
import { APPROVAL_TYPE, type ApprovalReply, type ApprovalView, type Verdict } from '#schemas/approval';
import { FabricError } from '#schemas/fabric-error';
import { formatDuration } from '#schemas/units';
import { coordinatorErrors } from '../errors.ts';
import { type Acting, actAs, addressOption } from './acting.ts';

const FEW_MINUTES_MS = 180_000;

interface AnswerOptions {
  readonly as?: string;
  readonly reason?: string;
}

export function approvalCommand(shell: Shell): Command {
  return declare({
    name: 'approve',
    summary: 'see what waits for a person, and answer',
    group: 'Work',
    examples: [
      ['infrafabric approve list', 'questions and held actions that wait'],
      ['infrafabric approve yes deploy-7 --reason "tested on staging"', 'answer one'],
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
    examples: [['infrafabric approve list --json', 'for other programs']],
  }).option('--all', 'those that have their answer, too');
  return handle<[], { readonly all?: boolean }>(shell, command, async ({ io, out, options }) => {
    await using acting = await actAs(undefined, options, io);
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
    if (count === 0)
      out.lines([options.all === true ? 'Nothing was ever asked.' : 'Nothing waits for an answer.']);
    return EXIT.ok;
  });
}

function answerCommand(shell: Shell, answer: Verdict): Command {
  const command = declare({
    name: answer,
    summary: `answer ${answer}`,
    group: 'Work',
    examples: [[`infrafabric approve ${answer} deploy-7`, '']],
  })
    .argument('<id>', 'of the approval')
    .addOption(new Option('--as <address>', 'who answers (default operator/<user>)').argParser(addressOption))
    .option('--reason <text>', 'why, for the record');
  return handle<[string], AnswerOptions>(shell, command, async ({ io, out, options }, id) => {
    const { reason } = options;
    await using acting = await actAs(options.as, options, io);
    const { as } = acting;
    const reply = await answerOf(acting, id, { answer, ...(reason !== undefined && { reason }) });
    out.data(reply);
    out.lines([`${out.palette.good('✓')} ${id}: ${answer}, by ${as}`]);
    return EXIT.ok;
  });
}

/** What a policy holds is answered under the approver's signature, over the digest of what was looked at. */
async function answerOf({ client, realm, as }: Acting, id: string, answer: object): Promise<ApprovalReply> {
  const address = `${APPROVAL_TYPE}/${id}`;
  const looked = (await client.ask(address, { type: 'approval.get' })).reply as ApprovalReply;
  const held = looked.accepted ? looked.approval.held : null;
  const reply = (
    held === null
      ? await client.ask(address, { type: 'approval.answer', ...answer })
      : await realm.askDraft({
          performative: 'inform',
          from: `if://${as}`,
          to: [`if://${address}`],
          conversation: address,
          content: { action: 'answer', digest: held.digest, ...answer },
        })
  ).reply as ApprovalReply;
  if (reply.accepted) return reply;
  throw new Refused(
    new FabricError(coordinatorErrors.approval_refused, reason(reply), { details: { id, code: reply.code } }),
  );
}

function reason(reply: ApprovalReply & { readonly accepted: false }): string {
  return reply.reason;
}

/** To whole seconds; of what is longer than a few minutes, to whole minutes. */
function roundedUp(ms: number): number {
  const unit = ms > FEW_MINUTES_MS ? 60_000 : 1_000;
  return Math.ceil(ms / unit) * unit;
}

function linesOf(view: ApprovalView, now: number): string[] {
  const { id, status, question, by, verdict, answeredBy, dueAt } = view;
  if (status !== 'pending')
    return [`${id}  ${verdict ?? ''}  by ${answeredBy ?? 'nobody, in time'}`, `  ${question}`];
  const left = formatDuration(roundedUp(Math.max(0, (dueAt ?? now) - now)));
  const who = view.held === null ? '' : `, ${view.held.approvers.join(' or ')} may answer`;
  return [`${id}  asked by ${by ?? 'nobody'}, ${view.default} in ${left}${who}`, `  ${question}`];
}
