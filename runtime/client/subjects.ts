/** The subjects a client speaks to, made from addresses. No Node imports: this runs in browsers. */
import { isActorId, isActorType, parseAddress } from '#schemas/address';
import { FabricError } from '#schemas/fabric-error';
import { clientErrors } from './errors.ts';

const FNV_OFFSET = 0x811c9dc5;
const FNV_PRIME = 0x01000193;

export interface ClientSubjects {
  /** To any node, which forwards it. */
  ask(address: string): string;
  /** Straight to the owner of the shard. */
  askShard(address: string, shards: number): string;
  inbox(address: string): string;
  /** A star stands for any type or any id. Throws `bad_pattern`. */
  events(pattern: string): string;
  /** Address and event name of a live event's subject. */
  parseEvent(subject: string): { readonly address: string; readonly event: string } | undefined;
  readonly status: string;
}

/** Every method that takes an address throws `bad_address`. */
export function clientSubjects(prefix: string): ClientSubjects {
  return {
    ask: (address) => `${prefix}.ask.${tokens(address)}`,
    askShard: (address, shards) => `${prefix}.ask.${shardOf(address, shards)}.${tokens(address)}`,
    inbox: (address) => `${prefix}.in.${tokens(address)}`,
    events: (pattern) => `${prefix}.ev.${patternTokens(pattern)}.>`,
    parseEvent(subject) {
      const [type, id, ...event] = subject.slice(prefix.length + '.ev.'.length).split('.');
      if (type === undefined || id === undefined || event.length === 0) return undefined;
      return { address: `${type}/${id.replaceAll('%2E', '.')}`, event: event.join('.') };
    },
    status: `${prefix}.api.status`,
  };
}

/** The server's `partition(n,1,2)`: FNV-1a over the two tokens without the dot between them. */
export function shardOf(address: string, shards: number): number {
  const text = tokens(address);
  const dot = text.indexOf('.');
  let hash = FNV_OFFSET;
  for (let i = 0; i < text.length; i += 1) {
    if (i !== dot) hash = Math.imul(hash ^ text.charCodeAt(i), FNV_PRIME);
  }
  return (hash >>> 0) % shards;
}

function tokens(address: string): string {
  const { type, id } = parseAddress(address);
  return `${type}.${encodeId(id)}`;
}

function encodeId(id: string): string {
  return id.includes('.') ? id.replaceAll('.', '%2E') : id;
}

function patternTokens(pattern: string): string {
  const slash = pattern.indexOf('/');
  const type = pattern.slice(0, Math.max(slash, 0));
  const id = pattern.slice(slash + 1);
  if ((type === '*' || isActorType(type)) && (id === '*' || isActorId(id))) return `${type}.${encodeId(id)}`;
  throw new FabricError(clientErrors.bad_pattern, `"${pattern}" is no address pattern`, {
    details: { pattern },
  });
}
