/** What a seed means: the realm, its limits, the weather, the load and the faults. Each kind of fault is in some schedules only. */
import type { ShardLimits } from '#runtime/shard/shard';
import { Chance } from './chance.ts';
import type { Weather } from './link.ts';

export type FaultKind =
  | 'crash'
  | 'stop'
  | 'pause'
  | 'cut'
  | 'server'
  | 'full'
  | 'clock'
  | 'drain'
  /** Dies at a point of the loop. */
  | 'probe';

export interface Fault {
  readonly kind: FaultKind;
  /** ms after the beginning. */
  readonly at: number;
  readonly forMs: number;
  /** Which node; taken modulo their number. */
  readonly node: number;
  readonly variant: number;
}

export interface Plan {
  readonly seed: number;
  readonly shards: number;
  readonly nodes: number;
  readonly clients: number;
  readonly ops: number;
  /** Only so many of them are done. */
  readonly opsMax: number;
  readonly actors: number;
  /** Time in which the operations begin. */
  readonly spanMs: number;
  readonly leaseTtlMs: number;
  /** How long a shard stays where it moved to. */
  readonly stayMs: number;
  readonly bytesMax: number;
  readonly limits: ShardLimits;
  readonly weather: Weather;
  readonly driverTrouble: number;
  readonly claims: boolean;
  /** Clocks of the nodes are off by at most this. */
  readonly skewMsMax: number;
  readonly faults: readonly Fault[];
}

export interface PlanOverrides {
  readonly ops?: number;
  readonly faults?: number;
}

const FAULT_KINDS: readonly FaultKind[] = [
  'crash',
  'stop',
  'pause',
  'cut',
  'server',
  'full',
  'clock',
  'drain',
  'probe',
];

const TAKEOVER_KINDS: readonly FaultKind[] = ['pause', 'cut'];

export function planOf(seed: number, overrides: PlanOverrides = {}): Plan {
  const chance = new Chance(seed ^ 0x5eed);
  const sometimes = (share: number, value: number): number => (chance.is(share) ? value : 0);
  const spanMs = chance.pick([100, 1_000, 4_000, 8_000]);
  const ops = chance.pick([8, 20, 40, 80]);
  const plan = {
    seed,
    shards: chance.pick([1, 2, 2, 3, 4]),
    nodes: chance.pick([1, 2, 2, 3]),
    clients: chance.pick([1, 2, 3]),
    ops,
    opsMax: overrides.ops ?? ops,
    actors: chance.pick([1, 3, 6]),
    spanMs,
    leaseTtlMs: chance.pick([1_000, 2_000, 5_000]),
    stayMs: chance.pick([0, 200, 10_000]),
    bytesMax: chance.pick([6_000, 20_000, 1_000_000]),
    limits: {
      queueMax: chance.pick([4, 64, 4_096]),
      batchMax: chance.pick([1, 4, 512]),
      bodyBytesMax: 100_000,
      dedupeWindow: 10_000,
      snapshotEveryEntries: chance.pick([2, 8, 40, 100_000]),
      residentMax: chance.pick([1, 3, 1_000]),
      passivateAfterMs: chance.pick([1, 200, 60_000]),
      inboxReleaseBytes: chance.pick([500, 100_000]),
    },
    weather: {
      latencyMsMax: chance.pick([1, 5, 50, 400]),
      lost: sometimes(0.4, chance.pick([0.03, 0.15])),
      unanswered: sometimes(0.5, 0.06),
      late: sometimes(0.4, 0.04),
      twice: sometimes(0.4, 0.05),
    },
    driverTrouble: sometimes(0.5, 0.3),
    claims: chance.is(0.3),
    skewMsMax: chance.pick([0, 0, 50, 5_000]),
  };
  // Owners that are away for longer than their lease, and come back.
  const isTakeover = chance.is(0.2);
  const kinds = isTakeover ? TAKEOVER_KINDS : FAULT_KINDS.filter(() => chance.is(0.4));
  const count = kinds.length === 0 ? 0 : 1 + chance.int(6);
  const faults = Array.from({ length: count }, () => ({
    kind: chance.pick(kinds),
    at: chance.between(0, spanMs * 1.2),
    forMs: isTakeover ? chance.between(plan.leaseTtlMs, 2 * plan.leaseTtlMs) : chance.skewed(5, 9_000),
    node: chance.int(plan.nodes),
    variant: chance.int(1_000),
  }));
  return { ...plan, faults: faults.slice(0, overrides.faults ?? faults.length) };
}
