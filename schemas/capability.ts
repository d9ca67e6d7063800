/**
 * Capabilities, `category:skill[:detail]`, and the taxonomy that says which there are. A taxonomy is a file that people
 * write; the one in force stands in the registry's log.
 */
import { z } from 'zod';

const NAME = '[a-z0-9][a-z0-9.+-]{0,59}';
const CAPABILITY = new RegExp(`^[a-z][a-z0-9-]{0,39}:${NAME}(?::${NAME})?$`);
const CATEGORY = /^[a-z][a-z0-9-]{0,39}$/;
const SKILL = new RegExp(`^${NAME}$`);
/** Skills of a taxonomy: what one entry of the log may hold, and more than people keep apart. */
export const SKILLS_MAX = 2_000;

export function isCapability(text: string): boolean {
  return CAPABILITY.test(text);
}

const about = z.string().max(300).default('');
const spelling = z.string().min(1).max(120);

const skillSchema = z
  .strictObject({
    about: about.describe('What who has it can do.'),
    details: z
      .array(z.string().regex(SKILL, { error: 'expected a-z, 0-9 and . + -, 60 at most' }))
      .max(200)
      .default([])
      .describe('Known details, `category:skill:detail`; others are as good, these are suggested.'),
    aliases: z
      .array(spelling)
      .max(50)
      .default([])
      .describe('Other spellings that mean the same; read as this one.'),
  })
  .describe('A skill of a category.');

export const taxonomySchema = z
  .strictObject({
    version: z
      .int()
      .min(1)
      .describe('Raised with every change: registrations name the version they were read by.'),
    extends: z
      .literal('default')
      .optional()
      .describe('Adds to the taxonomy that comes with the package; a skill of the same name replaces its.'),
    unknown: z
      .enum(['warn', 'error'])
      .default('warn')
      .describe('A capability that is not in it: told with the nearest one, or refused.'),
    categories: z
      .record(
        z.string().regex(CATEGORY, { error: 'expected a-z, 0-9 and -, 40 at most' }),
        z.strictObject({
          about: about.describe('What the category is for.'),
          skills: z
            .record(
              z.string().regex(SKILL, { error: 'expected a-z, 0-9 and . + -, 60 at most' }),
              skillSchema,
            )
            .default({}),
        }),
      )
      .describe('Category → its skills.'),
  })
  .describe('A taxonomy of capabilities.');
export type Taxonomy = z.infer<typeof taxonomySchema>;

/** What was read from a list of capabilities. */
export interface ReadCapabilities {
  /** As they count: aliases resolved, sorted, each once. */
  readonly capabilities: readonly string[];
  readonly problems: readonly CapabilityProblem[];
}

export interface CapabilityProblem {
  /** As it was written. */
  readonly capability: string;
  /** `malformed` is always refused; `unknown` as the taxonomy says; `alias` is only told. */
  readonly kind: 'malformed' | 'unknown' | 'alias';
  /** The nearest one there is, or what the alias means. */
  readonly nearest: string | null;
}
