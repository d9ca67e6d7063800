/** Cases of a policy: requests, and what has to become of them. */
import { z } from 'zod';
import { Problems } from '#runtime/supervise/problems';
import { checkSchema } from '#runtime/supervise/schema-problems';
import { Places, readSource } from '#runtime/supervise/source';
import { type Decision, requestSchema } from '#schemas/policy';
import { policyErrors } from './errors.ts';
import type { Policy } from './policy.ts';

const CASES_MAX = 10_000;

const caseSchema = z.strictObject({
  name: z.string().min(1).max(200),
  request: requestSchema,
  expect: z.enum(['allow', 'deny', 'approval']),
  rule: z.string().max(100).optional().describe('A rule that has to be among those that decided.'),
});

export const casesSchema = z.strictObject({ cases: z.array(caseSchema).max(CASES_MAX) });
export type PolicyCase = z.infer<typeof caseSchema>;

export interface CaseResult {
  readonly name: string;
  readonly line: number;
  readonly passed: boolean;
  readonly expect: PolicyCase['expect'];
  readonly rule?: string;
  readonly decision: Decision;
}

/** Throws `bad_policy` with the place of everything that is wrong with the file. */
export function runCases(policy: Policy, text: string, name: string): CaseResult[] {
  const problems = new Problems(policyErrors.bad_policy);
  const places = new Places();
  const raw = readSource(text, { file: name, places, problems });
  problems.throwIfAny();
  const root = typeof raw === 'object' && raw !== null ? raw : {};
  const file = checkSchema(casesSchema, root, places, problems);
  problems.throwIfAny();
  if (file === undefined) throw new Error('invariant: refused cases have a problem');
  return file.cases.map(({ name: title, request, expect, rule }, n) => {
    const decision = policy.decide(request);
    const passed = decision.outcome === expect && (rule === undefined || decision.rules.includes(rule));
    const { line } = places.at(root, ['cases', n]).place;
    return { name: title, line, passed, expect, ...(rule !== undefined && { rule }), decision };
  });
}
