/** The `webhooks:` section of a realm config: who outside is told that an actor entered a state. */
import { z } from 'zod';

/** Each is a reader of the log: more are a task for one receiver that hands on. */
const WEBHOOKS_MAX = 32;
const EVENT = /^(?:\*|[a-z][a-z0-9-]{0,30})\.(?:\*|[A-Za-z0-9_.-]{1,100})$/;

export const webhookSchema = z
  .strictObject({
    name: z
      .string()
      .regex(/^[a-z0-9][a-z0-9-]{0,62}$/, { error: 'expected a name: a-z, 0-9 and "-", 63 at most' })
      .describe('Under this name the realm remembers what was delivered: another name begins anew.'),
    url: z.url({ protocol: /^https?$/ }).describe('Where events are POSTed to.'),
    events: z
      .array(z.string().regex(EVENT, { error: 'expected type.state, `task.completed`, `task.*`' }))
      .min(1)
      .max(64)
      .describe('States that actors enter, `<type>.<state>`; a star stands for any type or any state.'),
    secretFile: z
      .string()
      .min(1)
      .describe(
        'File with the secret that signs, relative to the config, readable for its owner only: `whsec_` and base64, or 16 characters at least.',
      ),
    allowPrivate: z
      .boolean()
      .default(false)
      .describe('Lets the host of the URL resolve to loopback and private addresses.'),
  })
  .describe('POSTs an event each time an actor enters a state, signed, until it is taken.');
export type WebhookConfig = z.infer<typeof webhookSchema>;

export const webhooksSchema = z
  .array(webhookSchema)
  .max(WEBHOOKS_MAX)
  .refine((hooks) => new Set(hooks.map(({ name }) => name)).size === hooks.length, {
    error: 'two webhooks have one name',
  })
  .default([])
  .describe('Who outside is told what happens.');
