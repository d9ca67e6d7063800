/**
 * The realm config: the one YAML file that an operator writes. Types are inferred from the schemas; the JSON Schema in
 * docs/schemas and the reference in docs/config.md are generated from them.
 */
import { z } from 'zod';
import { accessSchema } from './access.ts';
import { archiveSchema } from './archive.ts';
import { accountName, TREE_DEFAULT, TREE_NAME } from './budget.ts';
import { limitsSchema } from './limits.ts';
import { CAPACITY_MAX, LABEL, LABELS_MAX, NODE_NAME } from './member.ts';
import { personalSchema } from './privacy.ts';
import {
  CHILDREN_MAX,
  INTENSITY_DEFAULT,
  INTENSITY_MAX,
  PERIOD_MS_DEFAULT,
  RESTARTS,
  STRATEGIES,
} from './supervisor.ts';
import { byteSize, duration, formatDuration } from './units.ts';
import { webhooksSchema } from './webhook.ts';
import { witnessSchema } from './witness.ts';

/**
 * Shards of a realm: on one node one log is fastest, for each shard's commits pay their own fsync and fewer asks share
 * one. Shards are what spreads over nodes: a realm that will have several wants about four for each.
 */
export const SHARDS_DEFAULT = 1;
/** Each shard is a consumer and a lease; past this a realm wants more realms. */
export const SHARDS_MAX = 256;
/** Age up to which a signed message is taken: five minutes forgive clocks and queues, not a replay. */
export const MESSAGE_MAX_AGE_MS_DEFAULT = 300_000;
/** An agent is a process of some hundred MB: more of them want another machine. */
export const PROCESSES_MAX_DEFAULT = 64;
/** Config files one realm may include, nested ones counted. */
export const INCLUDES_MAX = 64;

const TYPE_NAME = /^[a-z][a-z0-9-]{0,30}$/;
const ID = /^[A-Za-z0-9][A-Za-z0-9._@+=~:-]{0,199}$/;
const MACHINE = /^(?:[A-Za-z][A-Za-z0-9_-]*|(?:\.{1,2}\/|\/)[^#]+#[A-Za-z_$][\w$]*)$/;

const typeName = z.string().regex(TYPE_NAME, { error: 'expected a type name: a-z, 0-9 and "-", 31 at most' });
const machineName = z.string().regex(MACHINE, {
  error: 'expected the name of a machine, or a file of yours such as ./machines/mine.ts#mine',
});

const label = z.string().regex(LABEL, { error: 'expected letters, digits and . _ / -, 63 at most' });

const kindLabels = z
  .union([z.record(label, label), z.array(label)])
  .transform((labels) =>
    Array.isArray(labels) ? Object.fromEntries(labels.map((name) => [name, 'true'])) : labels,
  )
  .refine((labels) => Object.keys(labels).length <= LABELS_MAX, { error: `at most ${LABELS_MAX} labels` });

export const kindSchema = z
  .strictObject({
    machine: machineName.describe('A built-in machine (`counter`), or `file#export` relative to the config.'),
    version: z
      .int()
      .min(1)
      .optional()
      .describe('Machine version that new actors begin on; the newest when absent.'),
    spawnOnMessage: z
      .boolean()
      .default(false)
      .describe('A first message brings an actor of this kind to life.'),
    door: z
      .enum(['signed', 'open', 'closed'])
      .default('signed')
      .describe(
        '`signed`: only verified IFMessages; `open`: plain events too; `closed`: only mail from inside and the kernel.',
      ),
    input: z.unknown().optional().describe('Input of actors spawned by a first message.'),
    onThrow: z
      .enum(['keep', 'fail'])
      .default('keep')
      .describe(
        'A machine that throws: keep the last good state, or fail the actor so that its supervisor acts.',
      ),
    labels: kindLabels
      .optional()
      .describe(
        'Effects of these actors run only on nodes with all of these labels: `[sip]`, or `{ zone: a }`. Their state may lie anywhere.',
      ),
    personal: personalSchema.optional(),
  })
  .describe('How actors of one type run.');

const childFields = {
  id: z.string().regex(ID, { error: 'expected an id: letters, digits and . _ @ + = ~ : -' }).optional(),
  kind: typeName.optional().describe('Type of the actor, from `kinds`; its address is `<kind>/<id>`.'),
  restart: z
    .enum(RESTARTS)
    .default('permanent')
    .describe('When an ended child is started again: always, after an error only, never.'),
  input: z.unknown().optional().describe('Input of the machine.'),
  from: z
    .string()
    .min(1)
    .optional()
    .describe('A YAML or JSON file with a list: one child per item, the item is its input.'),
  list: z.string().min(1).optional().describe('Key of the list in `from`; absent when the file is a list.'),
  idField: z
    .string()
    .min(1)
    .optional()
    .describe('Field of an item that gives the child its id (`id` when absent).'),
};

export interface ChildConfig {
  readonly id?: string | undefined;
  readonly kind?: string | undefined;
  readonly restart: (typeof RESTARTS)[number];
  readonly input?: unknown;
  readonly from?: string | undefined;
  readonly list?: string | undefined;
  readonly idField?: string | undefined;
  readonly supervisor?: SupervisorConfig | undefined;
}

export interface SupervisorConfig {
  readonly strategy: (typeof STRATEGIES)[number];
  readonly intensity: number;
  readonly periodMs: number;
  readonly budget?: { readonly tree: string; readonly account: string } | undefined;
  readonly children: readonly ChildConfig[];
}

export const childSchema: z.ZodType<ChildConfig> = z
  .strictObject({
    ...childFields,
    get supervisor(): z.ZodOptional<z.ZodType<SupervisorConfig>> {
      return supervisorSchema.optional();
    },
  })
  .meta({ id: 'Child' })
  .describe(
    'An actor (`id`, `kind`), a nested supervisor (`id`, `supervisor`), or a list of actors (`from`, `kind`).',
  );

const budgetSchema = z
  .strictObject({
    tree: z
      .string()
      .regex(TREE_NAME, { error: 'expected letters, digits and . _ -, 63 at most' })
      .default(TREE_DEFAULT)
      .describe('The budget tree.'),
    account: accountName.describe('Its account, `swarm:a`.'),
  })
  .describe('While this budget is exhausted the children are stopped; they start anew when it goes on.');

export const supervisorSchema: z.ZodType<SupervisorConfig> = z
  .strictObject({
    strategy: z
      .enum(STRATEGIES)
      .default('one_for_one')
      .describe('Which children are restarted when one ends: only it, all, or it and those after it.'),
    intensity: z
      .int()
      .min(0)
      .max(INTENSITY_MAX)
      .default(INTENSITY_DEFAULT)
      .describe('Restarts allowed within `period`; one more and the supervisor itself fails.'),
    period: duration(1, 7 * 86_400_000)
      .prefault(formatDuration(PERIOD_MS_DEFAULT))
      .describe('Window in which restarts are counted.'),
    budget: budgetSchema.optional(),
    children: z
      .array(childSchema)
      .max(CHILDREN_MAX)
      .default([])
      .describe('Started in this order, stopped in reverse.'),
  })
  .transform(({ period, ...rest }) => ({ ...rest, periodMs: period }))
  .meta({ id: 'Supervisor' })
  .describe('A supervisor and its children.');

const natsSchema = z
  .strictObject({
    url: z
      .string()
      .min(1)
      .optional()
      .describe(
        'An existing NATS server, or several of a cluster separated by commas; absent: the realm runs its own.',
      ),
    replicas: z
      .union([z.literal('auto'), z.literal(1), z.literal(3), z.literal(5)])
      .default('auto')
      .describe(
        'Servers that keep each stream of a new realm. `auto`: 3 in a cluster of at least three, otherwise 1. What is there is never changed by a start: `infrafabric cluster raise`.',
      ),
    port: z
      .int()
      .min(0)
      .max(65_535)
      .optional()
      .describe('Port of the realm’s own server; a free one when absent or 0.'),
    websocketPort: z
      .int()
      .min(0)
      .max(65_535)
      .optional()
      .describe('Opens a WebSocket door for browsers on this port.'),
    secure: z
      .boolean()
      .default(false)
      .describe(
        'Nodes, operators, agents and tools sign on with keys of their own, each with rights of its own, over TLS. See docs/security.md.',
      ),
    host: z
      .string()
      .regex(/^[A-Za-z0-9.:-]+$/, { error: 'expected a name or an address' })
      .optional()
      .describe(
        'Address on which the realm’s own server listens; loopback when absent. Only where `secure` is on.',
      ),
    ca: z
      .string()
      .min(1)
      .optional()
      .describe(
        'Certificate (PEM) of the authority behind an existing server, relative to the config; the system’s authorities when absent.',
      ),
  })
  .refine(({ host, secure }) => host === undefined || secure, {
    path: ['host'],
    error: 'only a secure realm listens elsewhere than on loopback',
  })
  .describe('Where messages and logs live.');

const keySchema = z
  .strictObject({
    kid: z.string().min(1).max(200).describe('Key id, as messages name it.'),
    owner: z.string().min(1).describe('Address that may sign with it, `session/ndi`.'),
    publicKey: z.string().min(1).describe('Ed25519 public key, 32 bytes in base64url.'),
  })
  .describe('A public key of the realm’s registry.');

const edgeSchema = z
  .strictObject({
    unsignedTypes: z
      .array(typeName)
      .default([])
      .describe('Sender types that may send IFMessages without a signature.'),
    maxAge: duration(1_000, 86_400_000)
      .prefault(formatDuration(MESSAGE_MAX_AGE_MS_DEFAULT))
      .describe('Older IFMessages are refused, whatever their own ttl.'),
    keys: z.array(keySchema).max(10_000).default([]).describe('Keys entered into the registry at start.'),
  })
  .transform(({ maxAge, ...rest }) => ({ ...rest, maxAgeMs: maxAge }))
  .describe('What may come in.');

const nodeSchema = z
  .strictObject({
    name: z
      .string()
      .regex(NODE_NAME, { error: 'expected letters, digits, _ and -, 63 at most' })
      .optional()
      .describe(
        'Name of this node, which it keeps over restarts; made up and kept in the data folder when absent. `--name` and `INFRAFABRIC_NODE_NAME` win.',
      ),
    capacity: z
      .number()
      .min(1 / CAPACITY_MAX)
      .max(CAPACITY_MAX)
      .default(1)
      .describe(
        'Share of the shards, relative to other nodes: 2 takes twice what 1 takes. `--capacity` and `INFRAFABRIC_CAPACITY` win.',
      ),
    labels: z
      .record(label, label)
      .refine((labels) => Object.keys(labels).length <= LABELS_MAX, { error: `at most ${LABELS_MAX} labels` })
      .default({})
      .describe(
        'What this node has that others may not, such as `sip: "true"`. `--label` and `INFRAFABRIC_LABELS` (`sip,zone=a`) add to them.',
      ),
  })
  .describe('What is special about the node that reads this config; for realms of several nodes.');

const driversSchema = z
  .object({
    http: z
      .strictObject({
        allowHosts: z
          .array(z.string().min(1))
          .default([])
          .describe('Hosts that effects may call; `*.name` for subdomains.'),
        allowPrivate: z
          .boolean()
          .default(false)
          .describe('Lets listed names resolve to loopback and private addresses.'),
        allowEnv: z
          .array(z.string().min(1))
          .default([])
          .describe('Variables of the node that inputs may name, as env:NAME in braces.'),
      })
      .optional()
      .describe('Requests over HTTP.'),
    process: z
      .strictObject({
        allow: z.array(z.string().min(1)).default([]).describe('Programs that effects may run.'),
        allowEnv: z
          .array(z.string().min(1))
          .default([])
          .describe('Variables of the node that inputs may name, as env:NAME in braces.'),
      })
      .optional()
      .describe('Child processes.'),
    policy: z
      .strictObject({
        file: z
          .string()
          .min(1)
          .describe(
            'A policy that this node applies at its start and whenever the file changes, relative to the config.',
          ),
      })
      .optional()
      .describe('Who may do what. See docs/policy.md.'),
    sandbox: z
      .strictObject({
        require: z
          .enum(['full', 'any'])
          .default('full')
          .describe(
            'Layers of the jail: `full` runs nothing where one is missing, `any` runs with what there is.',
          ),
        places: z.int().min(1).max(256).optional().describe('Tasks of one node at a time; 4 when absent.'),
        queueMax: z
          .int()
          .min(1)
          .max(1_000_000)
          .optional()
          .describe('Tasks that wait on a node; 1,000 when absent.'),
        memoryBytesMax: byteSize(2 ** 20, 4 * 2 ** 30)
          .optional()
          .describe('The most that one task may be given; 256MiB when absent.'),
        http: z
          .strictObject({
            allowHosts: z.array(z.string().min(1)).default([]).describe('Hosts that grants may name.'),
            allowPrivate: z
              .boolean()
              .default(false)
              .describe('Lets them resolve to loopback and private addresses.'),
            allowEnv: z
              .array(z.string().min(1))
              .default([])
              .describe('Variables of the node that headers of grants may name, as env:NAME in braces.'),
          })
          .optional(),
      })
      .optional()
      .describe('Sandboxed tasks. See docs/chassis.md.'),
    'session-process': z
      .strictObject({
        allow: z
          .array(z.string().min(1))
          .default([])
          .describe(
            'Programs that swarms may run for their sessions: a name on the node’s PATH, or an absolute path.',
          ),
        allowEnv: z
          .array(z.string().min(1))
          .default([])
          .describe('Variables of the node that templates may name, as env:NAME in braces.'),
        processesMax: z
          .int()
          .min(1)
          .max(1_000)
          .default(PROCESSES_MAX_DEFAULT)
          .describe('Session processes of one node at a time.'),
      })
      .optional()
      .describe('The processes of sessions, which `infrafabric swarm spawn` starts.'),
  })
  .catchall(z.unknown())
  .describe(
    'Options of the drivers that perform effects, by driver name. A driver allows nothing by default.',
  );

export const realmConfigSchema = z
  .strictObject({
    realm: z
      .string()
      .regex(/^[a-z0-9][a-z0-9-]{0,62}$/, { error: 'expected a name: a-z, 0-9 and "-", 63 at most' })
      .describe('Name of the realm.'),
    prefix: z
      .string()
      .regex(/^[a-z][a-z0-9-]{0,15}$/, { error: 'expected a-z, 0-9 and "-", 16 at most' })
      .default('if')
      .describe('First token of every subject.'),
    data: z
      .string()
      .min(1)
      .optional()
      .describe(
        'Data folder, relative to the config; `.infrafabric/<realm>` when absent. `INFRAFABRIC_DATA` wins.',
      ),
    durability: z
      .enum(['strict', 'relaxed'])
      .default('strict')
      .describe('`strict`: what was acknowledged survives power loss. `relaxed` is for development.'),
    shards: z
      .int()
      .min(1)
      .max(SHARDS_MAX)
      .default(SHARDS_DEFAULT)
      .describe(
        'Single-writer logs, fixed while a realm runs: `infrafabric reshard` changes the number. One is fastest on one node; take about four for each node.',
      ),
    nats: natsSchema.prefault({}),
    node: nodeSchema.prefault({}),
    limits: limitsSchema.prefault({}),
    edge: edgeSchema.prefault({}),
    drivers: driversSchema.prefault({}),
    access: accessSchema,
    archive: archiveSchema.optional(),
    webhooks: webhooksSchema,
    witness: witnessSchema.prefault({}),
    include: z
      .array(z.string().min(1))
      .max(INCLUDES_MAX)
      .default([])
      .describe(
        'Further config files; their `kinds` and the children of their supervisors are added to these.',
      ),
    kinds: z.record(typeName, kindSchema).default({}).describe('Actor types: the first part of an address.'),
    supervisor: supervisorSchema.prefault({}),
  })
  .describe('Config of an InfraFabric realm.');

export type KindConfig = z.infer<typeof kindSchema>;

export type RealmConfig = z.infer<typeof realmConfigSchema>;
