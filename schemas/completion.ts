/** What a worker hands in with a task, and what the completion gate says of it. */
import { z } from 'zod';
import { AMOUNT_MAX } from './budget.ts';
import { relationshipSchema } from './relationship.ts';

/** What may be on a checklist. */
export const ARTIFACT_KINDS = ['code', 'docs', 'contract', 'witness', 'branch', 'issues'] as const;
export type ArtifactKind = (typeof ARTIFACT_KINDS)[number];

/** The five checks, in the order in which they are told. */
export const CHECKS = ['ground', 'witness', 'ttt', 'cost', 'relationships'] as const;
export type Check = (typeof CHECKS)[number];

const text = z.string().max(2_000);

export const artifactSchema = z
  .strictObject({
    kind: z.enum(ARTIFACT_KINDS),
    path: z
      .string()
      .min(1)
      .max(1_000)
      .describe('Where it lies; of a branch `name@commit`. Unique in a submission.'),
    sha256: z
      .string()
      .regex(/^[0-9a-f]{64}$/, { error: 'expected SHA-256 in hex' })
      .describe('Of the bytes of the file; of a branch of its text `name@commit`.'),
    bytes: z.int().min(0).optional(),
  })
  .describe('Something that was made, by path and hash.');
export type Artifact = z.infer<typeof artifactSchema>;

/** Something a worker says about what it did, and what that rests on. */
export const groundedClaimSchema = z.strictObject({
  text: z.string().min(1).max(2_000),
  cites: z.array(z.string().min(1).max(1_000)).max(20).default([]).describe('Paths of artifacts.'),
});
export type GroundedClaim = z.infer<typeof groundedClaimSchema>;

export const submissionSchema = z
  .object({
    deliverable: text.optional(),
    testsPass: z.boolean().optional(),
    artifacts: z.array(artifactSchema).max(100).default([]),
    claims: z.array(groundedClaimSchema).max(100).default([]),
    /** Entries of the log in the witness export. */
    entries: z.int().min(0).optional(),
    /** What it cost, in millionths. */
    costMicros: z.int().min(0).max(AMOUNT_MAX).optional(),
    relationships: z.array(relationshipSchema).max(100).default([]),
    /** 0–1; counts for the weight of the worker. */
    confidence: z.number().min(0).max(1).optional(),
  })
  .describe('What is handed in.');
export type Submission = z.infer<typeof submissionSchema>;

/** What the gate of a task asks for; a task without one asks for nothing. */
export const gateSchema = z
  .strictObject({
    artifacts: z
      .array(z.enum(ARTIFACT_KINDS))
      .max(ARTIFACT_KINDS.length)
      .default([...ARTIFACT_KINDS]),
    checks: z
      .array(z.enum(CHECKS))
      .max(CHECKS.length)
      .default([...CHECKS]),
  })
  .describe('The checklist that a task completes with.');
export type Gate = z.infer<typeof gateSchema>;

export const checkResultSchema = z.strictObject({
  check: z.enum([...CHECKS, 'artifacts']),
  passed: z.boolean(),
  /** What is missing; empty where it passed. */
  missing: z.array(z.string()),
});
export type CheckResult = z.infer<typeof checkResultSchema>;
