/** The config of a meter: which providers stand behind it, who may use it, and its bounds. */
import { z } from 'zod';
import { accountName } from './budget.ts';
import { providerName } from './price.ts';
import { byteSize, duration, formatBytes, formatDuration } from './units.ts';

export const WIRES = ['openai', 'anthropic'] as const;
export type WireName = (typeof WIRES)[number];

/** Calls under way at a time: a process has about a thousand sockets, and each call takes two. */
const CALLS_MAX_DEFAULT = 256;
/** Of one request: what the largest contexts and a few pictures take. */
const BODY_BYTES_MAX_DEFAULT = 32 * 2 ** 20;
/** Reasoning models think for minutes before they say anything. */
const SILENCE_MS_DEFAULT = 600_000;
/** What is reserved for an answer where neither the request nor the price table names a limit. */
const OUTPUT_MAX_DEFAULT = 16_384;
const TOKEN_BYTES_DEFAULT = 1;
/** An agent makes a call after the other, or two at a time. */
const CALLS_AHEAD_DEFAULT = 2;
/** Tools that an agent uses between two calls mostly answer sooner. */
const IDLE_MS_DEFAULT = 30_000;

const id = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._@+=~:-]{0,199}$/, {
  error: 'expected letters, digits and . _ @ + = ~ : -',
});

const providerSchema = z
  .strictObject({
    wire: z.enum(WIRES).describe('The form of its requests and answers.'),
    url: z
      .url({ protocol: /^https?$/, error: 'expected http:// or https://' })
      .describe('What stands before /v1, such as https://api.openai.com.'),
    prices: providerName.optional().describe('Its name in the price table; its own name when absent.'),
    reasoning: z
      .enum(['hidden', 'shown'])
      .default('hidden')
      .describe(
        '`shown`: all that its models make is in what they answer. Else an answer that breaks off before its figures is charged as much as it may have made.',
      ),
    keyEnv: z.string().min(1).max(200).optional().describe('Variable that holds its key.'),
    keyFile: z
      .string()
      .min(1)
      .max(1_000)
      .optional()
      .describe('File that holds its key, relative to the config.'),
    key: z
      .literal('caller')
      .optional()
      .describe('Callers bring their own key, and their token in `if-token`. The meter keeps none.'),
  })
  .refine(
    ({ keyEnv, keyFile, key }) => [keyEnv, keyFile, key].filter((one) => one !== undefined).length <= 1,
    {
      error: 'one of keyEnv, keyFile and key, or none for a provider that wants no key',
    },
  );
export type ProviderConfig = z.output<typeof providerSchema>;

const callerSchema = z
  .strictObject({
    tokenFile: z
      .string()
      .min(1)
      .max(1_000)
      .describe('File with its token, relative to the config; made where it is not there.'),
    session: id.optional().describe('Its session: then it can name no other. Without one it names any.'),
    swarm: id.optional().describe('Its swarm.'),
    budget: accountName
      .optional()
      .describe('The account that pays; found by task, session and swarm when absent.'),
  })
  .describe('Who may use the meter.');

export const meterSchema = z
  .strictObject({
    listen: z
      .strictObject({
        host: z
          .string()
          .min(1)
          .max(255)
          .default('127.0.0.1')
          .describe('Other machines reach it only where this says so.'),
        port: z.int().min(0).max(65_535).default(0).describe('A free one when 0.'),
      })
      .prefault({}),
    providers: z
      .record(providerName, providerSchema)
      .refine((providers) => Object.keys(providers).length > 0, { error: 'name one at least' }),
    callers: z
      .array(callerSchema)
      .max(1_000)
      .default([])
      .describe('Beside who has `meter.token` of the data folder.'),
    budget: z
      .enum(['required', 'none'])
      .default('required')
      .describe('`none`: calls are counted, and nothing is reserved.'),
    breakers: z
      .boolean()
      .default(false)
      .describe(
        'Asks `breaker/provider:NAME` before a call, and tells it what failed; the realm needs the kind.',
      ),
    tree: id.default('main').describe('Name of the budget tree.'),
    unpriced: z
      .enum(['refuse', 'forward'])
      .default('refuse')
      .describe('Calls of a model that has no price: `forward` counts their tokens and reserves nothing.'),
    others: z
      .enum(['refuse', 'pass'])
      .default('refuse')
      .describe(
        'Paths that the meter does not count: `pass` forwards them as they are, and nobody counts them.',
      ),
    limits: z
      .strictObject({
        callsMax: z
          .int()
          .min(1)
          .max(10_000)
          .default(CALLS_MAX_DEFAULT)
          .describe('Calls under way; further ones are told to come again.'),
        bodyBytesMax: byteSize(1_024, 512 * 2 ** 20)
          .prefault(formatBytes(BODY_BYTES_MAX_DEFAULT))
          .describe('Size of one request.'),
        silence: duration(100, 86_400_000)
          .prefault(formatDuration(SILENCE_MS_DEFAULT))
          .describe('A provider that says nothing for so long is given up.'),
        outputMax: z
          .int()
          .min(1)
          .max(10_000_000)
          .default(OUTPUT_MAX_DEFAULT)
          .describe('Tokens reserved for an answer where neither the request nor the price table says.'),
        callsAhead: z
          .int()
          .min(0)
          .max(1_000)
          .default(CALLS_AHEAD_DEFAULT)
          .describe(
            'So many calls more than are under way an account has to hold, where it has ample room: they are forwarded without asking the realm. 0: each call waits for its reservation.',
          ),
        idle: duration(10, 3_600_000)
          .prefault(formatDuration(IDLE_MS_DEFAULT))
          .describe('What is held ahead returns after this long without a call.'),
        bytesPerToken: z
          .number()
          .min(1)
          .max(16)
          .default(TOKEN_BYTES_DEFAULT)
          .describe(
            'For what is reserved for a request: no token of text is shorter than one byte, most have about four.',
          ),
      })
      .prefault({}),
  })
  .describe('A meter in front of model providers.');
export type MeterConfig = z.output<typeof meterSchema>;
