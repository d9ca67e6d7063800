/** The log folded anew, with its snapshots and without: each way must give the states that are live. */
import { encode, sha256 } from '#runtime/bus/codec';
import { mailOf } from '#runtime/bus/nats-inbox';
import { addressOfTail } from '#runtime/bus/subjects';
import type { Registry } from '#runtime/machine/registry';
import { recordOf } from '#runtime/shard/hydrate';
import type { EffectRunner, Logger } from '#runtime/shard/ports';
import { Shard, type ShardLimits } from '#runtime/shard/shard';
import type { Cell } from '#runtime/shard/table';
import { Link } from './link.ts';
import { openGate, simAsks, simBlobs, simInbox, simLog, simOutbox } from './ports.ts';
import { Process } from './process.ts';
import type { Server } from './server.ts';
import type { World } from './world.ts';

/** Longer than any fold here takes. */
const FOLD_MS_MAX = 20_000;
const SILENT: Logger = { debug() {}, info() {}, warn() {}, error() {} };
const NO_EFFECTS: EffectRunner = { start() {}, cancel() {}, close: async () => {} };

/** Runs the world until a promise is settled. Undefined where it is not in time; throws what it rejects with. */
export async function awaited<T>(world: World, promise: Promise<T>): Promise<T | undefined> {
  let end: { readonly value: T } | { readonly error: unknown } | undefined;
  promise.then(
    (value) => {
      end = { value };
    },
    (error: unknown) => {
      end = { error };
    },
  );
  world.touch();
  await new Promise((resolve) => setImmediate(resolve));
  await world.run(() => end !== undefined, FOLD_MS_MAX);
  if (end === undefined) return undefined;
  if ('error' in end) throw end.error;
  return end.value;
}

/** The state of every actor of a shard, by address. */
export async function statesOf(world: World, shard: Shard): Promise<Map<string, Cell>> {
  const addresses = [...shard.addresses()].map(([address]) => address);
  const cells = new Map<string, Cell>();
  for (const address of addresses) {
    const cell = await awaited(world, shard.look(address));
    if (cell !== undefined) cells.set(address, cell);
  }
  return cells;
}

export interface RefoldOptions {
  readonly world: World;
  readonly server: Server;
  readonly registry: Registry;
  readonly limits: ShardLimits;
  readonly shard: number;
  readonly live: ReadonlyMap<string, Cell>;
  readonly withSnapshot: boolean;
}

/** Folds a copy of the log on a fresh node. */
export async function checkRefold(options: RefoldOptions): Promise<void> {
  const { world, server, registry, limits, shard, live, withSnapshot } = options;
  const copy = server.copy(withSnapshot);
  const process = new Process(world, withSnapshot ? 'refold' : 'fullfold');
  const weather = { latencyMsMax: 0, lost: 0, unanswered: 0, late: 0, twice: 0 };
  const wire = { process, link: new Link(process, weather, () => true), server: copy };
  const again = new Shard({
    shard,
    node: process.name,
    registry,
    shardOf: (address) => copy.subjects.shardOf(address),
    addressOf: addressOfTail,
    mailOf: (message) => mailOf(copy.subjects, message),
    log: simLog(wire, shard),
    inbox: simInbox(wire, shard),
    asks: simAsks(
      wire,
      shard,
      'refold',
      () => false,
      () => {},
    ),
    outbox: simOutbox(wire),
    blobs: simBlobs(wire),
    effects: () => NO_EFFECTS,
    gate: openGate,
    clock: process.clock,
    logger: SILENT,
    limits,
  });
  try {
    await awaited(world, again.start());
    const folded = await statesOf(world, again);
    for (const address of new Set([...live.keys(), ...folded.keys()])) {
      if (digestOf(live.get(address)) !== digestOf(folded.get(address)))
        world.violate(`${process.name}: ${address} has another state than live`);
    }
    const { timers, effects } = again.status();
    if (timers + effects > 0)
      world.violate(`${process.name} of shard ${shard}: ${timers} timers, ${effects} effects left`);
  } catch (thrown) {
    world.violate(`${process.name} of shard ${shard}: ${(thrown as Error).message}`);
  }
  process.kill();
}

function digestOf(cell: Cell | undefined): string {
  if (cell === undefined) return 'nobody';
  const { touchedAt: _, ...record } = recordOf(cell);
  return Buffer.from(sha256(encode(record))).toString('hex');
}
