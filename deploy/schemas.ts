/** Writes the JSON Schemas of everything people write or send into docs/schemas; `--check` fails when they are stale. */
import { mkdirSync } from 'node:fs';
import { z } from 'zod';
import { priceFileSchema } from '#actors/costs/prices/read';
import { casesSchema } from '#actors/governor/policy/cases';
import { boardActionSchema } from '#schemas/board';
import { breakerActionSchema, breakerInputSchema, breakerViewSchema } from '#schemas/breaker';
import { accountViewSchema, ledgerActionSchema } from '#schemas/budget';
import { taxonomySchema } from '#schemas/capability';
import { submissionSchema } from '#schemas/completion';
import { realmConfigSchema } from '#schemas/config';
import { costRecordSchema, costsActionSchema } from '#schemas/cost';
import { ifMessageSchema } from '#schemas/if-message';
import { meterSchema } from '#schemas/meter';
import { policyActionSchema, policyFileSchema, requestSchema } from '#schemas/policy';
import { priceActionSchema } from '#schemas/price';
import { sandboxActionSchema } from '#schemas/sandbox';
import { componentActionSchema, serviceContractSchema } from '#schemas/service-contract';
import { sessionActionSchema, sessionInputSchema, sessionViewSchema } from '#schemas/session';
import { planSchema, supervisorSpecSchema } from '#schemas/supervisor';
import { swarmActionSchema, swarmTemplateSchema } from '#schemas/swarm';
import { taskActionSchema, taskInputSchema } from '#schemas/task';
import { taskViewSchema } from '#schemas/task-view';
import {
  registryActionSchema,
  workerActionSchema,
  workerProfileSchema,
  workersFileSchema,
  workerViewSchema,
} from '#schemas/worker';
import { writeOrCheck } from './generated.ts';

const SCHEMAS: Readonly<Record<string, z.ZodType>> = {
  realm: realmConfigSchema,
  'if-message': ifMessageSchema,
  task: taskInputSchema,
  'task-action': taskActionSchema,
  'task-view': taskViewSchema,
  submission: submissionSchema,
  session: sessionInputSchema,
  'session-action': sessionActionSchema,
  'session-view': sessionViewSchema,
  'board-action': boardActionSchema,
  account: accountViewSchema,
  breaker: breakerInputSchema,
  'breaker-action': breakerActionSchema,
  'breaker-view': breakerViewSchema,
  'ledger-action': ledgerActionSchema,
  'swarm-template': swarmTemplateSchema,
  'swarm-action': swarmActionSchema,
  'cost-record': costRecordSchema,
  'costs-action': costsActionSchema,
  'price-table': priceFileSchema,
  meter: meterSchema,
  'price-action': priceActionSchema,
  policy: policyFileSchema,
  'policy-cases': casesSchema,
  'policy-request': requestSchema,
  'policy-action': policyActionSchema,
  'supervisor-spec': supervisorSpecSchema,
  plan: planSchema,
  taxonomy: taxonomySchema,
  worker: workerProfileSchema,
  workers: workersFileSchema,
  'worker-action': workerActionSchema,
  'worker-view': workerViewSchema,
  'registry-action': registryActionSchema,
  'service-contract': serviceContractSchema,
  'component-action': componentActionSchema,
  'sandbox-action': sandboxActionSchema,
};

mkdirSync('docs/schemas', { recursive: true });
for (const [name, schema] of Object.entries(SCHEMAS)) {
  const json = {
    $id: `infrafabric:${name}`,
    ...z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }),
  };
  writeOrCheck(`docs/schemas/${name}.json`, `${JSON.stringify(json, null, 2)}\n`);
}
