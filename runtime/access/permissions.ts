/**
 * What each role may do on the bus: the one place where rights are decided. Pure.
 *
 * A1  Rights are lists of what is allowed; everything else is refused. Nobody, nodes neither, has `>`.
 * A2  Whoever signs on hears answers under a prefix of its own, and of no other.
 * A3  Agents and tools live in an account of their own without JetStream. What they send comes over as a service of the
 *     realm's account: the server keeps the place of the answer in their account and says who they are (see accounts.ts).
 *     So no header, and no reply subject, reaches a stream, a bucket, or the API of JetStream.
 * A4  Only nodes write the log, the claims, mail and events.
 * A5  Auditors are outside too, and get single messages by their number: a consumer may be told to deliver, and any
 *     request to be answered, to a subject that its maker may not publish to. In an account of their own it is theirs.
 * A6  Leases on actors are written by nodes, for agents too: who asks is known to them, and leases on nothing but itself and
 *     what it may ask.
 */
import type { Subjects } from '#runtime/bus/subjects';
import type { AccessRole } from '#schemas/access';

/** Who signs on. */
export interface Identity {
  readonly kid: string;
  /** Address, such as `agent/alice`. */
  readonly owner: string;
}

/** Kinds (`counter`) and actors (`counter/k1`). */
export interface Reach {
  readonly asks: readonly string[];
  readonly sends: readonly string[];
  readonly watches: readonly string[];
}

export type AccountName = 'realm' | 'outside' | 'audit';

export interface Permissions {
  readonly account: AccountName;
  readonly publish: readonly string[];
  readonly subscribe: readonly string[];
}

/** Verbs of JetStream on a stream, as they stand behind `$JS.API.`; `*` for the stream's name. */
const LOOKS = ['STREAM.INFO.*', 'STREAM.MSG.GET.*', 'DIRECT.GET.*', 'DIRECT.GET.*.>'];
const READS = [
  ...LOOKS,
  'CONSUMER.CREATE.*',
  'CONSUMER.CREATE.*.>',
  'CONSUMER.INFO.*.*',
  'CONSUMER.DELETE.*.*',
  'CONSUMER.MSG.NEXT.*.*',
];
const MAKES = ['STREAM.CREATE.*', 'STREAM.UPDATE.*'];
const REMOVES = ['STREAM.PURGE.*', 'STREAM.MSG.DELETE.*'];
const ASKS_OF_AUDITORS = ['status', 'members', 'config.get', 'witness', 'shard.*.list', 'shard.*.show'];

/** Where an identity hears the answers to what it asks (A2). */
export function inboxPrefixOf(kid: string): string {
  return `_INBOX.${kid}`;
}

export function permissionsOf(
  role: AccessRole,
  { kid, owner }: Identity,
  reach: Reach,
  subjects: Subjects,
): Permissions {
  const inbox = `${inboxPrefixOf(kid)}.>`;
  switch (role) {
    case 'node':
      return nodePermissions(inbox, subjects);
    case 'operator':
      return operatorPermissions(inbox, subjects);
    case 'auditor':
      return auditorPermissions(inbox, subjects);
    case 'agent':
      return {
        account: 'outside',
        publish: [
          subjects.api('status'),
          ...reach.asks.flatMap((text) => subjects.reach.ask(...placeOf(text))),
          ...reach.sends.map((text) => subjects.reach.in(...placeOf(text))),
          // Leases on itself, and on what it may ask (A6).
          ...[owner, ...reach.asks].map((text) => subjects.reach.lease(...placeOf(text))),
        ],
        subscribe: [inbox, ...[owner, ...reach.watches].map((text) => subjects.eventsOf(...placeOf(text)))],
      };
    case 'tool':
      return {
        account: 'outside',
        publish: [
          subjects.api('status'),
          ...reach.asks.flatMap((text) => subjects.reach.ask(...placeOf(text))),
        ],
        subscribe: [inbox],
      };
  }
}

function nodePermissions(inbox: string, subjects: Subjects): Permissions {
  const { streams, kv, obj } = stored(subjects);
  const all = [...streams, ...kv, ...obj];
  const { log, dead } = subjects.streams;
  const purged = all.filter((name) => name !== log && name !== dead);
  return {
    account: 'realm',
    publish: [
      // Asks of others that another node has to answer, and orders to it.
      ...subjects.reach.asks(),
      subjects.reach.api(),
      subjects.reach.effects(),
      // A4.
      subjects.wildcards.log(),
      subjects.wildcards.mail(),
      subjects.wildcards.dead(),
      subjects.wildcards.events(),
      ...subjects.stored.kv.map((bucket) => `$KV.${bucket}.>`),
      ...subjects.stored.obj.map((bucket) => `$O.${bucket}.>`),
      ...jsApi(all, [...READS, ...MAKES]),
      ...jsApi(purged, REMOVES),
      ...flow(all),
      // Answers, to whoever asked.
      '_INBOX.>',
      '_R_.>',
    ],
    subscribe: [
      inbox,
      ...subjects.reach.asks(),
      subjects.reach.leases(),
      subjects.reach.api(),
      subjects.reach.effects(),
      // Drivers follow what happens to actors.
      subjects.wildcards.events(),
      '$SRV.>',
    ],
  };
}

/** Everything that a command does; a node does the rest for it. */
function operatorPermissions(inbox: string, subjects: Subjects): Permissions {
  const { streams, kv, obj } = stored(subjects);
  return {
    account: 'realm',
    publish: [
      ...subjects.reach.asks(),
      subjects.wildcards.in(),
      subjects.reach.api(),
      subjects.reach.leases(),
      '$SRV.>',
      `$KV.${subjects.buckets.keys}.>`,
      `$KV.${subjects.buckets.witness}.>`,
      // Components and inputs; a name says what lies there, so nothing can be put in its place.
      `$O.${subjects.buckets.boxes}.>`,
      `$O.${subjects.buckets.runs}.>`,
      ...jsApi([...streams, ...kv, ...obj], READS),
      // Copies in a cluster, and who leads them.
      ...jsApi([...streams, ...kv, ...obj], ['STREAM.UPDATE.*', 'STREAM.LEADER.STEPDOWN.*']),
      ...jsApi([subjects.streams.dead], ['STREAM.MSG.DELETE.*']),
      ...flow([...streams, ...kv, ...obj]),
    ],
    subscribe: [inbox, subjects.wildcards.events()],
  };
}

/** Reads all but wrapped data keys, and writes nothing. */
function auditorPermissions(inbox: string, subjects: Subjects): Permissions {
  return {
    account: 'audit',
    publish: auditServices(subjects),
    subscribe: [inbox, subjects.wildcards.events()],
  };
}

/** What an auditor may ask (A5). */
export function auditServices(subjects: Subjects): readonly string[] {
  const { streams, kv, obj } = stored(subjects);
  const read = [...streams, ...kv, ...obj].filter((name) => name !== `KV_${subjects.buckets.privacy}`);
  return [...ASKS_OF_AUDITORS.map((verb) => subjects.api(verb)), ...jsApi(read, LOOKS)];
}

function stored(subjects: Subjects): {
  readonly streams: readonly string[];
  readonly kv: readonly string[];
  readonly obj: readonly string[];
} {
  const { streams, kv, obj } = subjects.stored;
  return { streams, kv: kv.map((name) => `KV_${name}`), obj: obj.map((name) => `OBJ_${name}`) };
}

function jsApi(streams: readonly string[], verbs: readonly string[]): string[] {
  return [
    '$JS.API.INFO',
    '$JS.API.STREAM.NAMES',
    ...streams.flatMap((stream) => verbs.map((verb) => `$JS.API.${verb.replace('*', stream)}`)),
  ].filter((subject, n, list) => list.indexOf(subject) === n);
}

/** Acknowledgements, and answers to flow control: of a consumer, they change no message. */
function flow(streams: readonly string[]): string[] {
  return streams.flatMap((stream) => [`$JS.ACK.${stream}.>`, `$JS.FC.${stream}.>`]);
}

function placeOf(text: string): [type: string, id: string] {
  const [type = '', id = '*'] = text.split('/');
  return [type, id];
}
