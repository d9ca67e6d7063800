/** Writes docs/asyncapi.yaml, every subject of a realm as AsyncAPI 3; `--check` fails when it is stale. */
import { stringify } from 'yaml';
import { z } from 'zod';
import { Subjects } from '#runtime/bus/subjects';
import { ifMessageSchema } from '#schemas/if-message';
import { planSchema, supervisorSpecSchema } from '#schemas/supervisor';
import { writeOrCheck } from './generated.ts';

type Json = Readonly<Record<string, unknown>>;

/** Types and ids that `Subjects` lets through as they are, to be turned into parameters of a channel. */
const TYPE = 'the-type';
const ID = 'the-id';
const NUMBER = 4_093;
const subjects = new Subjects('if', NUMBER + 1);

const parameters: Readonly<Record<string, Json>> = {
  type: { description: 'Kind of the actor, `counter`.' },
  id: { description: 'Its id; `.` is written `%2E`.' },
  shard: { description: 'FNV-1a-32 over `<type><id as written here>`, modulo the number of shards.' },
  source: { description: 'The sending shard.' },
  event: { description: 'Name of the event.' },
  node: { description: 'Id of a node.' },
};

const text = { type: 'string' };
const number = { type: 'integer' };
const error = object(
  { code: text, message: text, retryable: { type: 'boolean' }, help: text, details: { type: 'object' } },
  ['code', 'message', 'retryable'],
);
const refusal = object({ ok: { const: false }, error: ref('Error') }, ['ok', 'error']);
const event = {
  description: 'An event for the machine, or a signed IFMessage.',
  anyOf: [{ ...object({ type: text }, ['type']), additionalProperties: true }, ref('IFMessage')],
};
const answer = {
  oneOf: [
    object(
      {
        ok: { const: true },
        reply: { description: 'What the machine replied; absent where it did not.' },
        value: { description: 'State value after the event.' },
        commit: object({ shard: number, index: number }, ['shard', 'index']),
      },
      ['ok', 'value', 'commit'],
    ),
    refusal,
  ],
};
const headers = object({
  'Nats-Msg-Id': { ...text, description: 'Message id: the same id from the same sender is applied once.' },
  'Content-Type': { enum: ['application/json', 'application/msgpack'], default: 'application/json' },
  'If-From': { ...text, description: 'Name of the sender.' },
  traceparent: { ...text, description: 'W3C trace context.' },
});
const deadHeaders = object({
  'Content-Type': text,
  'If-From': text,
  'If-Dead-Code': text,
  'If-Dead-Reason': text,
  'If-Dead-Help': text,
  'If-Dead-Actor': { ...text, description: 'Whom it was for.' },
  'If-Dead-At': text,
  'If-Dead-Commit': { ...text, description: '`<shard>/<index>`' },
});

const channels: Record<string, Json> = {
  answer: {
    address: null,
    description: 'The reply inbox of an ask.',
    messages: { answer: { payload: answer } },
  },
  adminReply: {
    address: null,
    description: 'The reply inbox of an admin request; docs/subjects.md names the fields.',
    messages: {
      adminReply: {
        payload: {
          oneOf: [{ ...object({ ok: { const: true } }, ['ok']), additionalProperties: true }, refusal],
        },
      },
    },
  },
};
const operations: Record<string, Json> = {};

const address = `${TYPE}/${ID}`;
request('ask', subjects.ask(address), 'Ask an actor; any node takes it. Answered after the commit.');
request(
  'askShard',
  subjects.ask(address).replace('.ask.', '.ask.{shard}.'),
  'Ask straight at the owner of the shard.',
);
channel(
  'asks',
  subjects.askBatch(0, TYPE).replace('.asks.0.', '.asks.{shard}.'),
  'Up to 512 asks of one sender to actors of one type in one shard: rows of target `<type>.<id>`, message id, event and, where there is one, traceparent. Answers come as rows of place in the batch and answer, in one message or several.',
  {
    headers,
    payload: {
      type: 'array',
      maxItems: 512,
      items: { type: 'array', minItems: 3, maxItems: 4 },
    },
  },
);
operation('asks', 'receive', 'Taken by the owner of the shard; JSON only.');
channel(
  'send',
  subjects.in(address),
  'An event for the inbox; the server stores it and moves it to its shard.',
  {
    headers,
    payload: event,
  },
);
operation('send', 'receive', 'The acknowledgement of the stream is the receipt.');
channel('queued', `if.q.{shard}.{type}.{id}`, 'The same event as it is stored.', { headers, payload: event });
operation('queued', 'receive', 'Read by the owner of the shard.');
channel(
  'mail',
  subjects.mail(NUMBER, NUMBER).replace(`${NUMBER}.${NUMBER}`, '{shard}.{source}'),
  'Mail of one commit to one shard.',
  bytes(),
);
operation('mail', 'receive', 'Between shards; private to the kernel.');
channel(
  'effect',
  subjects.effect('{node}'),
  'Effects that a node runs for others, and their results.',
  bytes(),
);
operation('effect', 'receive', 'Between nodes only.');
channel('log', subjects.log(NUMBER), 'Commits, one a message.', bytes());
operation('log', 'send', 'Written by the owner of the shard; anyone may read.');
channel('dead', subjects.dead(address), 'A message nobody could take, as it came, and why.', {
  headers: deadHeaders,
  payload: {},
});
operation('dead', 'send', 'Kept; `infrafabric dead retry` sends one again.');
channel('events', subjects.event(address, 'EVENT'), 'What machines emit. Live only, after the commit.', {
  payload: {},
});
operation('events', 'send', 'Core NATS: whoever does not listen misses it.');

channel(
  'lease',
  subjects.lease(address),
  'Has a node write the lease on an actor, for workers that may not write to buckets.',
  {
    headers: object({ 'If-From': { ...text, description: 'Address of the worker.' } }),
    payload: object(
      { op: { enum: ['create', 'update', 'remove', 'get'] }, value: text, revision: number, ttlMs: number },
      ['op'],
    ),
  },
);
operation('lease', 'receive', 'Answered with the revision of what was written.', 'adminReply');

admin('status', 'Every node answers.', {});
admin('shard.{shard}.list', 'Actors of a shard, in order of address.', {
  type: text,
  after: text,
  limit: number,
});
admin('shard.{shard}.show', 'One actor in full.', { address: text }, ['address']);
admin(
  'shard.{shard}.redact',
  'Destroys the data key of a subject, in the shard of `redaction/<first 32 hex digits of the SHA-256 of the subject>`.',
  {
    type: { enum: ['redact', 'readmit'] },
    subject: text,
    reason: text,
    by: text,
    force: { type: 'boolean' },
  },
  ['type', 'subject', 'reason', 'by'],
);
admin(
  'shard.{shard}.keyring',
  'Registers, rotates or revokes a key by a signed order, in the shard of `keyring/realm`.',
  { order: { type: 'object' }, signatures: { type: 'array', items: { type: 'object' } } },
  ['order', 'signatures'],
);
admin(
  'shard.{shard}.alarm',
  'Makes the HIGH entry of a break in the log, in the shard of `witness/realm`; the same id again makes no second one.',
  { id: text, kind: text, seq: number, shard: number, index: number, what: text },
  ['id', 'kind', 'seq', 'what'],
);
admin(
  'witness',
  'How the witness log stands, from the node that builds it; with `read` the bytes, base64, of `checkpoint`, `checkpoint.cosigned` or a tile by its path.',
  { read: text },
);
admin('config.get', 'The supervision tree that runs.', {});
admin(
  'config.apply',
  'Applies a changed tree; the reply is its plan.',
  { spec: ref('SupervisorSpec'), dryRun: { type: 'boolean' } },
  ['spec'],
);
admin('members', 'The nodes, and for each shard its owner, the wanted one, and who can never own it.', {});
admin(
  'node.{node}.drain',
  'Has a node give its shards away (`on`), or take some again.',
  {
    on: { type: 'boolean' },
  },
  ['on'],
);
admin(
  'node.{node}.ping',
  'Answers with nothing; "no responders" means that the process has gone. Other nodes ask it.',
  {},
);
admin('node.{node}.down', 'Stops a node cleanly.', {});

const document = {
  asyncapi: '3.0.0',
  info: {
    title: 'InfraFabric',
    version: '1.0.0',
    description:
      'Every subject of a realm with the prefix `if`. Made from code by `node deploy/asyncapi.ts`.',
  },
  defaultContentType: 'application/json',
  channels,
  operations,
  components: {
    schemas: {
      Error: error,
      IFMessage: schemaOf('IFMessage', ifMessageSchema),
      SupervisorSpec: schemaOf('SupervisorSpec', supervisorSpecSchema),
      Plan: schemaOf('Plan', planSchema),
    },
  },
};
writeOrCheck('docs/asyncapi.yaml', stringify(document, { aliasDuplicateObjects: false, lineWidth: 0 }));

function channel(name: string, subject: string, description: string, message: Json): void {
  const at = subject
    .replace(`.${TYPE}.${ID}`, '.{type}.{id}')
    .replace('EVENT', '{event}')
    .replace(String(NUMBER), '{shard}');
  const used = [...at.matchAll(/\{(\w+)\}/g)].flatMap(([, key]) => (key === undefined ? [] : [key]));
  channels[name] = {
    address: at,
    description,
    ...(used.length > 0 && { parameters: Object.fromEntries(used.map((key) => [key, parameters[key]])) }),
    messages: { [name]: message },
  };
}

function operation(name: string, action: 'send' | 'receive', summary: string, reply?: string): void {
  operations[name] = {
    action,
    summary,
    channel: { $ref: `#/channels/${name}` },
    messages: [{ $ref: `#/channels/${name}/messages/${name}` }],
    ...(reply !== undefined && {
      reply: {
        address: {
          location: '$message.header#/reply',
          description: 'The reply subject of the NATS request.',
        },
        channel: { $ref: `#/channels/${reply}` },
        messages: [{ $ref: `#/channels/${reply}/messages/${reply}` }],
      },
    }),
  };
}

function request(name: string, subject: string, description: string): void {
  channel(name, subject, description, { headers, payload: event });
  operation(name, 'receive', description, 'answer');
}

function admin(verb: string, description: string, properties: Json, required: readonly string[] = []): void {
  const name = verb.replaceAll(/\{\w+\}\./g, '');
  channel(name, subjects.api(verb), description, { payload: object(properties, required) });
  operation(name, 'receive', description, 'adminReply');
}

function bytes(): Json {
  return { contentType: 'application/msgpack', payload: {} };
}

function object(properties: Json, required: readonly string[] = []): Json {
  return { type: 'object', properties, ...(required.length > 0 && { required: [...required] }) };
}

function ref(name: string): Json {
  return { $ref: `#/components/schemas/${name}` };
}

/** A schema of ours as a component: its references begin at the document, not at the schema. */
function schemaOf(name: string, schema: z.ZodType): Json {
  const { $schema: _, ...json } = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' });
  return JSON.parse(
    JSON.stringify(json).replaceAll('"$ref":"#', `"$ref":"#/components/schemas/${name}`),
  ) as Json;
}
