/** Tools for talking: messages to and from other workers, and about a task. */
import { z } from 'zod';
import { parseAddress } from '#schemas/address';
import { PERFORMATIVES } from '#schemas/if-message';
import { tool } from '../tool.ts';

const READ_MAX = 200;

export const talkTools = [
  tool({
    name: 'send_message',
    title: 'Send a message',
    description:
      'Sends a signed IFMessage to another worker (session/ID) or, for everyone who works on it, to a task (task/ID), and gives the answer.',
    input: z.strictObject({
      to: z.string().min(3).max(240).describe('Address type/id: session/ndi, task/P0.1.1.'),
      performative: z.enum(PERFORMATIVES).default('inform'),
      content: z.unknown().describe('Text or JSON.'),
      conversation: z
        .string()
        .min(1)
        .max(200)
        .optional()
        .describe('What it belongs to; the receiver when absent.'),
      confidence: z.number().min(0).max(1).optional(),
      citations: z.array(z.string().min(1).max(2_000)).max(64).optional(),
    }),
    run: async (
      { realm, coordinator },
      { to, performative, content, conversation, confidence, citations },
    ) => {
      const { address } = parseAddress(to);
      const { reply } = await realm.askDraft({
        from: `if://${coordinator.as}`,
        to: [`if://${address}`],
        performative,
        conversation: conversation ?? address,
        content,
        ...(confidence !== undefined && { confidence }),
        ...(citations !== undefined && { citations }),
      });
      if (isRefusal(reply)) return reply;
      return { accepted: true, to: address, reply: reply ?? null };
    },
  }),
  tool({
    name: 'say_in_task',
    title: 'Say something about a task',
    description: 'Adds to the conversation of a task; everyone who works on it reads it.',
    input: z.strictObject({
      task: z.string().min(1).max(200),
      content: z.unknown().describe('Text or JSON.'),
      performative: z.enum(PERFORMATIVES).default('inform'),
    }),
    run: ({ coordinator }, { task, content, performative }) => coordinator.say(task, content, performative),
  }),
  tool({
    name: 'read_messages',
    title: 'Read messages',
    description:
      'With `task`: the conversation of that task, the newest. Without: messages to this session since they were last read, the oldest first; while `more` is true, read again for the next.',
    readOnly: true,
    input: z.strictObject({
      task: z.string().min(1).max(200).optional(),
      since: z.iso
        .datetime({ offset: true })
        .optional()
        .describe(
          'From this time on, instead of since the last read; the next read goes on behind what this one gives.',
        ),
      limit: z.int().min(1).max(READ_MAX).default(50),
    }),
    run: async (seat, { task, since, limit }) => {
      if (task !== undefined) return { messages: (await seat.coordinator.conversation(task)).slice(-limit) };
      return seat.inbox.read(limit, since === undefined ? undefined : Date.parse(since));
    },
  }),
];

function isRefusal(reply: unknown): reply is { readonly accepted: false } {
  return typeof reply === 'object' && reply !== null && 'accepted' in reply && reply.accepted === false;
}
