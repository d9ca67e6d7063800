/** What a node makes of doors at which nobody listens, in virtual time. */
import test from 'ava';
import { GONE_AFTER_MS, type Knock, Vigil } from '#runtime/members/vigil';
import type { Member } from '#schemas/member';
import { silentLogger } from '../rig/nats.ts';
import { VirtualClock } from '../rig/virtual-time.ts';

function row(id: string, over: Partial<Member> = {}): Member {
  return {
    id,
    name: id,
    version: '1',
    state: 'up',
    capacity: 1,
    labels: {},
    machines: [],
    kinds: {},
    startedAt: 0,
    shards: {},
    failed: {},
    knockable: true,
    ...over,
  };
}

/** The vigil of node `m` over others that answer as `doors` says. */
class World implements AsyncDisposable {
  readonly clock = new VirtualClock();
  readonly doors = new Map<string, Knock>();
  readonly knocked = new Set<string>();
  readonly forgotten: string[] = [];
  readonly released: string[] = [];
  rows: Member[];
  steadyAt = 0;
  readonly #vigil: Vigil;

  constructor(...others: readonly Member[]) {
    this.rows = [...others];
    const world = this;
    this.#vigil = new Vigil({
      nodeId: 'm',
      roster: {
        others: () => this.rows,
        get steadyAt() {
          return world.steadyAt;
        },
        forget: async (id) => {
          this.forgotten.push(id);
          this.rows = this.rows.filter((member) => member.id !== id);
        },
      },
      knock: async (id) => {
        this.knocked.add(id);
        return this.doors.get(id) ?? 'there';
      },
      release: async (id) => void this.released.push(id),
      clock: this.clock,
      logger: silentLogger,
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#vigil[Symbol.asyncDispose]();
  }
}

test('V1, V2: a node that nobody listens for is forgotten and its leases are freed, once it has been so for long enough', async (t) => {
  await using world = new World(row('a'), row('z'));
  await world.clock.advance(1_000);
  world.doors.set('z', 'nobody');
  await world.clock.advance(GONE_AFTER_MS);
  t.deepEqual(world.forgotten, []);
  await world.clock.advance(400);
  t.deepEqual([world.forgotten, world.released], [['z'], ['z']]);
  await world.clock.advance(5_000);
  t.deepEqual(world.forgotten, ['z'], 'once');
});

test('V1: one that is heard in between only changed its server', async (t) => {
  await using world = new World(row('a'));
  for (let n = 0; n < 10; n += 1) {
    world.doors.set('a', 'nobody');
    await world.clock.advance(GONE_AFTER_MS - 200);
    world.doors.set('a', n % 2 === 0 ? 'there' : 'unclear');
    await world.clock.advance(200);
  }
  t.deepEqual(world.forgotten, []);
});

test('V3: one that hangs, one without such a door, and anyone while this node was cut off itself, are left to the TTL', async (t) => {
  await using world = new World(row('hangs'), row('old', { knockable: undefined }), row('z'));
  world.doors.set('hangs', 'unclear').set('old', 'nobody').set('z', 'nobody');
  world.steadyAt = Number.POSITIVE_INFINITY;
  await world.clock.advance(5_000);
  world.steadyAt = world.clock.now() + 1_000;
  await world.clock.advance(1_000);
  t.deepEqual(world.forgotten, []);
  t.false(world.knocked.has('old'));
  await world.clock.advance(GONE_AFTER_MS + 400);
  t.deepEqual(world.forgotten, ['z'], 'what was silent before counts from when this node is steady');
});

test('V4: a node looks after the two behind it, and after those behind them when they have gone', async (t) => {
  await using world = new World(row('a'), row('b'), row('n'), row('o'), row('z'));
  await world.clock.advance(1_000);
  t.deepEqual([...world.knocked].sort(), ['n', 'o']);
  world.doors.set('n', 'nobody').set('o', 'nobody').set('z', 'nobody');
  await world.clock.advance(GONE_AFTER_MS * 3);
  t.deepEqual(world.forgotten.sort(), ['n', 'o', 'z']);
  t.deepEqual([...world.knocked].sort(), ['a', 'b', 'n', 'o', 'z'], 'around the ring');
});
