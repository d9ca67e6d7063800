/**
 * Every subject, stream and bucket name of a realm is built and parsed here and nowhere else.
 *
 * An id stands in a subject as it is, but for `.`, which is written `%2E`: one spelling and no other.
 */
import { type Address, isActorId, isActorType } from '#schemas/address';
import { FabricError } from '#schemas/fabric-error';
import { busErrors } from './errors.ts';

const FNV_OFFSET = 0x811c9dc5;
const FNV_PRIME = 0x01000193;
const MAIL = 'mail';
const PLAIN_EVENT = /^[A-Za-z0-9_-]+$/;
/** As much of a refused subject is told again. */
const SHOWN_LENGTH_MAX = 256;

/** FNV-1a, 32 bits, over ASCII text: what the server's `partition` function computes over the joined tokens. */
export function fnv1a(text: string): number {
  let hash = FNV_OFFSET;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), FNV_PRIME);
  return hash >>> 0;
}

/** An id as a subject token. */
export function encodeId(id: string): string {
  return id.includes('.') ? id.replaceAll('.', '%2E') : id;
}

/** The two last tokens of an actor's subjects, `task.P0%2E1%2E1`. Throws `bad_subject` for what is no address. */
export function addressTokens(address: string): string {
  const slash = address.indexOf('/');
  const type = address.slice(0, Math.max(slash, 0));
  const id = address.slice(slash + 1);
  if (!isActorType(type) || !isActorId(id)) throw noActor(address);
  return `${type}.${encodeId(id)}`;
}

/** The actor that a subject names by its last two tokens. Throws `bad_subject`. */
export function addressOfTail(subject: string): Address {
  const idAt = subject.lastIndexOf('.') + 1;
  const typeAt = subject.lastIndexOf('.', idAt - 2) + 1;
  const type = subject.slice(typeAt, Math.max(idAt - 1, typeAt));
  const token = subject.slice(idAt);
  const id = token.includes('%') ? token.replaceAll('%2E', '.') : token;
  if (idAt === 0 || !isActorType(type) || !isActorId(id)) throw noActor(subject);
  return `${type}/${id}`;
}

function noActor(text: string): FabricError {
  const subject = text.slice(0, SHOWN_LENGTH_MAX);
  return new FabricError(busErrors.bad_subject, `"${subject}" names no actor`, { details: { subject } });
}

function eventTokens(name: string): string {
  if (PLAIN_EVENT.test(name)) return name;
  return name.replaceAll(/[^A-Za-z0-9_.-]/g, '_').replaceAll(/\.(?=\.|$)|^\./g, '_') || '_';
}

export class Subjects {
  readonly prefix: string;
  readonly shards: number;
  readonly streams: { readonly log: string; readonly inbox: string; readonly dead: string };
  readonly buckets: {
    readonly claims: string;
    /** Leases of workers on actors, in memory: what they guard is confirmed in the log. */
    readonly leases: string;
    readonly nodes: string;
    readonly keys: string;
    readonly objects: string;
    /** Where the witness keeps the last checkpoint it signed. */
    readonly witness: string;
    readonly tiles: string;
    /** Data keys of subjects, wrapped. */
    readonly privacy: string;
    /** The policy in force. */
    readonly policy: string;
    /** What sandboxed tasks keep. */
    readonly sandbox: string;
    /** Components of sandboxed tasks: what is read there is checked against its name. */
    readonly boxes: string;
    /** Their inputs, outputs and answers, for a time; checked likewise. */
    readonly runs: string;
  };

  constructor(prefix: string, shards: number) {
    this.prefix = prefix;
    this.shards = shards;
    const upper = prefix.toUpperCase();
    this.streams = { log: `${upper}_LOG`, inbox: `${upper}_IN`, dead: `${upper}_DEAD` };
    this.buckets = {
      claims: `${prefix}_claims`,
      leases: `${prefix}_leases`,
      nodes: `${prefix}_nodes`,
      keys: `${prefix}_keys`,
      objects: `${prefix}_obj`,
      witness: `${prefix}_witness`,
      tiles: `${prefix}_tiles`,
      privacy: `${prefix}_privacy`,
      policy: `${prefix}_policy`,
      sandbox: `${prefix}_sandbox`,
      boxes: `${prefix}_boxes`,
      runs: `${prefix}_runs`,
    };
  }

  /** The shard an address lives in: what the server computes for a send. */
  shardOf(address: string): number {
    const slash = address.indexOf('/');
    return fnv1a(address.slice(0, slash) + encodeId(address.slice(slash + 1))) % this.shards;
  }

  /** Short form: any node takes it. */
  ask(address: string): string {
    return `${this.prefix}.ask.${addressTokens(address)}`;
  }

  /** Long form: straight to the owner of the shard. */
  askShard(address: string): string {
    return `${this.prefix}.ask.${this.shardOf(address)}.${addressTokens(address)}`;
  }

  /** Several asks to actors of one type, straight to the owner of their shard. */
  askBatch(shard: number, type: string): string {
    return `${this.prefix}.asks.${shard}.${type}`;
  }

  /** Fire and forget; the server rewrites it to `q`. */
  in(address: string): string {
    return `${this.prefix}.in.${addressTokens(address)}`;
  }

  /** Sends to actors of one type, as they are stored for a shard. */
  queuedOf(shard: number, type: string): string {
    return `${this.prefix}.q.${shard}.${type}.*`;
  }

  mail(target: number, source: number): string {
    return `${this.prefix}.${MAIL}.${target}.${source}`;
  }

  isMail(subject: string): boolean {
    return subject.startsWith(`${this.prefix}.${MAIL}.`);
  }

  log(shard: number): string {
    return `${this.prefix}.log.${shard}`;
  }

  dead(address: string): string {
    return `${this.prefix}.dead.${addressTokens(address)}`;
  }

  /** Event names may hold dots: they are tokens then. Anything else that a subject cannot hold becomes `_`. */
  event(address: string, name: string): string {
    return `${this.prefix}.ev.${addressTokens(address)}.${eventTokens(name)}`;
  }

  /** Every live event of an actor; a star stands for any type or any id. The caller checks both. */
  eventsOf(type: string, id: string): string {
    return `${this.prefix}.ev.${type}.${encodeId(id)}.>`;
  }

  /** Address and event name of a live event's subject; undefined for anything else. */
  parseEvent(subject: string): { readonly address: string; readonly event: string } | undefined {
    const [type, id, ...event] = subject.slice(this.prefix.length + '.ev.'.length).split('.');
    if (type === undefined || id === undefined || event.length === 0) return undefined;
    return { address: `${type}/${id.replaceAll('%2E', '.')}`, event: event.join('.') };
  }

  /** Orders for effects that a node runs for others, and their results: between nodes only. */
  effect(nodeId: string): string {
    return `${this.prefix}.effect.${nodeId}`;
  }

  /** Asks a node to write the lease on an actor, for who may not write to buckets. */
  lease(address: string): string {
    return `${this.prefix}.lease.${addressTokens(address)}`;
  }

  /** The key of the lease on an actor: `type.id`, with `=` and two hex digits for what a key cannot hold. */
  leaseKey(address: string): string {
    const slash = address.indexOf('/');
    const id = address
      .slice(slash + 1)
      .replace(/[^A-Za-z0-9._-]|\.(?=\.|$)/g, (sign) => `=${sign.charCodeAt(0).toString(16)}`);
    return `${address.slice(0, slash)}.${id}`;
  }

  api(verb: string): string {
    return `${this.prefix}.api.${verb}`;
  }

  /** Names of everything that is stored: streams, and those under the buckets. */
  get stored(): {
    readonly streams: readonly string[];
    readonly kv: readonly string[];
    readonly obj: readonly string[];
  } {
    const { objects, tiles, boxes, runs, ...kv } = this.buckets;
    return {
      streams: Object.values(this.streams),
      kv: Object.values(kv),
      obj: [objects, tiles, boxes, runs],
    };
  }

  /** What rights name; `type` is a kind, `id` an actor of it or a star for all. The caller checks both. */
  readonly reach = {
    /** Asks in every form in which they travel. A batch is to any actor of its type. */
    ask: (type: string, id: string): readonly string[] => [
      `${this.prefix}.ask.${type}.${encodeId(id)}`,
      `${this.prefix}.ask.*.${type}.${encodeId(id)}`,
      ...(id === '*' ? [`${this.prefix}.asks.*.${type}`] : []),
    ],
    in: (type: string, id: string): string => `${this.prefix}.in.${type}.${encodeId(id)}`,
    asks: (): readonly string[] => [`${this.prefix}.ask.>`, `${this.prefix}.asks.>`],
    api: (): string => `${this.prefix}.api.>`,
    effects: (): string => `${this.prefix}.effect.*`,
    lease: (type: string, id: string): string => `${this.prefix}.lease.${type}.${encodeId(id)}`,
    leases: (): string => `${this.prefix}.lease.*.*`,
  };

  /** What to subscribe to. */
  readonly wildcards = {
    ask: (shard: number): string => `${this.prefix}.ask.${shard}.*.*`,
    askBatch: (shard: number): string => `${this.prefix}.asks.${shard}.*`,
    askShort: (): string => `${this.prefix}.ask.*.*`,
    /** Asks that can name no actor: too few tokens, too many. */
    askMalformed: (): readonly string[] => [`${this.prefix}.ask.*`, `${this.prefix}.ask.*.*.*.>`],
    inbox: (shard: number): readonly string[] => [
      `${this.prefix}.q.${shard}.*.*`,
      `${this.prefix}.${MAIL}.${shard}.*`,
    ],
    log: (): string => `${this.prefix}.log.*`,
    in: (): string => `${this.prefix}.in.*.*`,
    queued: (): string =>
      `${this.prefix}.q.{{partition(${this.shards},1,2)}}.{{wildcard(1)}}.{{wildcard(2)}}`,
    mail: (): string => `${this.prefix}.${MAIL}.*.*`,
    dead: (): string => `${this.prefix}.dead.*.*`,
    events: (): string => `${this.prefix}.ev.>`,
  };
}
