/** The tool by which a worker says what it used. */
import { z } from 'zod';
import { openCosts } from '#actors/costs/client';
import { costRecordSchema, tokensSchema } from '#schemas/cost';
import { tool } from '../tool.ts';

const { id, provider, model, task, trace } = costRecordSchema.shape;

export const costTools = [
  tool({
    name: 'record_cost',
    title: 'Record what a model cost',
    description:
      'Puts tokens that this session used on record, priced by the table of the realm. Not for what went through the meter: that is recorded already.',
    input: z.strictObject({
      id: id.optional().describe('Of the answer, as the provider gave it: a record counts once.'),
      provider,
      model,
      tokens: tokensSchema,
      task: task.unwrap().optional().describe('The task it was used for.'),
      swarm: task.unwrap().optional().describe('The swarm of this session.'),
      trace: trace.unwrap().optional(),
    }),
    run: async ({ client }, { id: of, task: on, swarm, trace: traced, ...usage }) => {
      using costs = openCosts(client);
      const { record, known, unpriced } = await costs.record({
        ...usage,
        source: 'mcp',
        ...(of !== undefined && { id: of }),
        ...(on !== undefined && { task: on }),
        ...(swarm !== undefined && { swarm }),
        ...(traced !== undefined && { trace: traced }),
      });
      const { amountMicros, price } = record;
      return {
        recorded: record.id,
        known,
        amountMicros,
        currency: price?.currency ?? null,
        row: price?.row ?? null,
        ...(unpriced !== undefined && { unpriced }),
      };
    },
  }),
];
