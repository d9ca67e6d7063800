/** Writes the JSON Schemas of everything people write or send into docs/schemas; `--check` fails when they are stale. */
import { mkdirSync } from 'node:fs';
import { z } from 'zod';
import { realmConfigSchema } from '#schemas/config';
import { ifMessageSchema } from '#schemas/if-message';
import { sessionInputSchema } from '#schemas/session';
import { planSchema, supervisorSpecSchema } from '#schemas/supervisor';
import { taskActionSchema, taskInputSchema } from '#schemas/task';
import { writeOrCheck } from './generated.ts';

const SCHEMAS: Readonly<Record<string, z.ZodType>> = {
  realm: realmConfigSchema,
  'if-message': ifMessageSchema,
  task: taskInputSchema,
  'task-action': taskActionSchema,
  session: sessionInputSchema,
  'supervisor-spec': supervisorSpecSchema,
  plan: planSchema,
};

mkdirSync('docs/schemas', { recursive: true });
for (const [name, schema] of Object.entries(SCHEMAS)) {
  const json = {
    $id: `infrafabric:${name}`,
    ...z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }),
  };
  writeOrCheck(`docs/schemas/${name}.json`, `${JSON.stringify(json, null, 2)}\n`);
}
