/** Tools for what others check: notes on record, and approvals of people. */
import { z } from 'zod';
import { systemRandom } from '#runtime/bus/system';
import {
  APPROVAL_TYPE,
  type ApprovalReply,
  type ApprovalView,
  approvalActionSchema,
} from '#schemas/approval';
import { FabricError } from '#schemas/fabric-error';
import { JOURNAL_TYPE, noteSchema } from '#schemas/journal';
import { mcpErrors } from '../errors.ts';
import { type Seat, tool } from '../tool.ts';

/** A tool call should not outlast the patience of the client that makes it. */
const WAIT_MS_MAX = 50_000;
/** Each look is an entry of the log. */
const LOOK_EVERY_MS = 2_000;

const id = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._@+=:-]{0,199}$/);
const [request] = approvalActionSchema.options;

export const oversightTools = [
  tool({
    name: 'log_to_witness',
    title: 'Put something on record',
    description:
      'Writes a note of this session into the signed log: what was done, decided or seen, with what it rests on.',
    input: noteSchema.omit({ type: true }).strict(),
    run: async ({ client, coordinator }, note) => {
      const address = `${JOURNAL_TYPE}/${coordinator.as.slice(coordinator.as.indexOf('/') + 1)}`;
      const { reply, commit } = await client.ask(address, { type: 'journal.note', ...note });
      return { ...(reply as object), commit };
    },
  }),
  tool({
    name: 'ask_approval',
    title: 'Ask a person for approval',
    description:
      'Puts a question to the people who watch this realm. The answer comes by check_approval; when nobody answers within waitMs, `default` is the verdict. Asked again with the same id it stays one question; an id under which another question stands is refused.',
    input: request
      .omit({ type: true })
      .extend({ id: id.optional().describe('Made up when absent.') })
      .strict(),
    run: async ({ client }, { id: given, ...question }) => {
      const name = given ?? systemRandom.id();
      const reply = await asked(client, name, { type: 'approval.request', ...question });
      // Of two questions under one id the first stays, and its verdict would be taken for this one's.
      if (reply.accepted && !isOurs(reply.approval, question.question, client.from))
        throw new FabricError(mcpErrors.mcp_other_question, `Another question stands under ${name}`);
      return shown(reply);
    },
  }),
  tool({
    name: 'check_approval',
    title: 'Has somebody answered?',
    description: 'The state of an approval; with waitMs it waits so long for the verdict.',
    readOnly: true,
    input: z.strictObject({ id, waitMs: z.int().min(0).max(WAIT_MS_MAX).default(0) }),
    run: async ({ client }, { id: name, waitMs }) => {
      const over = new AbortController();
      // Heard before it is asked for: a verdict in between is not missed. A watch begins with its first `next`.
      const events = client.watch(`${APPROVAL_TYPE}/${name}`, { signal: over.signal });
      const isTold = events.next().then(({ done }) => done !== true);
      try {
        for (const deadline = Date.now() + waitMs; ; ) {
          const reply = await asked(client, name, { type: 'approval.get' });
          const left = deadline - Date.now();
          if (!reply.accepted || reply.approval.status !== 'pending' || left <= 0) return shown(reply);
          const timeIsUp = elapsed(left, over.signal).then(() => true);
          // A key of a secure realm may have no right to hear of it: then it is looked at.
          if (!(await Promise.race([isTold, timeIsUp])))
            await elapsed(Math.min(LOOK_EVERY_MS, left), over.signal);
          else return shown(await asked(client, name, { type: 'approval.get' }));
        }
      } finally {
        over.abort();
      }
    },
  }),
];

async function asked(client: Seat['client'], name: string, event: { type: string }): Promise<ApprovalReply> {
  return (await client.ask(`${APPROVAL_TYPE}/${name}`, event)).reply as ApprovalReply;
}

function isOurs(approval: ApprovalView, question: string, from: string): boolean {
  return approval.question === question && approval.by === from;
}

function shown(reply: ApprovalReply): object {
  return reply.accepted ? { approval: reply.approval } : reply;
}

function elapsed(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener('abort', () => clearTimeout(timer), { once: true });
  });
}
