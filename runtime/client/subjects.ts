/** The subjects a client speaks to, made from addresses that it checks first. */
import { addressTokens, Subjects } from '#runtime/bus/subjects';
import { isActorId, isActorType, parseAddress } from '#schemas/address';
import { FabricError } from '#schemas/fabric-error';
import { clientErrors } from './errors.ts';

export interface ClientSubjects {
  /** To any node, which forwards it. */
  ask(address: string): string;
  /** Straight to the owner of the shard. */
  askShard(address: string, shards: number): string;
  /** Straight to the owner of the shard, with others to actors of its type. */
  askBatch(address: string, shards: number): string;
  /** The actor as a batch names it. */
  target(address: string): string;
  inbox(address: string): string;
  /** A star stands for any type or any id; all events, or one by its name. Throws `bad_pattern`. */
  events(pattern: string, name?: string): string;
  /** Address and event name of a live event's subject. */
  parseEvent(subject: string): { readonly address: string; readonly event: string } | undefined;
  readonly status: string;
}

/** The name stands where the subject of all leaves it open. */
function oneOf(all: string, name: string): string {
  return `${all.slice(0, -1)}${name}`;
}

/** Every method that takes an address throws `bad_address`. */
export function clientSubjects(prefix: string): ClientSubjects {
  const plain = new Subjects(prefix, 1);
  let sharded = plain;
  const at = (shards: number): Subjects => {
    if (sharded.shards !== shards) sharded = new Subjects(prefix, shards);
    return sharded;
  };
  return {
    ask: (address) => plain.ask(parseAddress(address).address),
    askShard: (address, shards) => at(shards).askShard(parseAddress(address).address),
    askBatch(address, shards) {
      const { type, address: plainAddress } = parseAddress(address);
      return at(shards).askBatch(at(shards).shardOf(plainAddress), type);
    },
    target: (address) => addressTokens(parseAddress(address).address),
    inbox: (address) => plain.in(parseAddress(address).address),
    events(pattern, name) {
      const slash = pattern.indexOf('/');
      const type = pattern.slice(0, Math.max(slash, 0));
      const id = pattern.slice(slash + 1);
      if ((type === '*' || isActorType(type)) && (id === '*' || isActorId(id)))
        return name === undefined ? plain.eventsOf(type, id) : oneOf(plain.eventsOf(type, id), name);
      throw new FabricError(clientErrors.bad_pattern, `"${pattern}" is no address pattern`, {
        details: { pattern },
      });
    },
    parseEvent: (subject) => plain.parseEvent(subject),
    status: plain.api('status'),
  };
}
