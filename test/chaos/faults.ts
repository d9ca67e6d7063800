/** Faults: each begins, lasts, and is mended. Which, where and when comes from a seed. */
import type { Random } from '#runtime/shard/ports';
import type { NodeProcess } from './node-process.ts';
import type { NatsProcess } from './servers.ts';
import type { SmallDisk } from './small-disk.ts';
import type { TcpProxy } from './tcp-proxy.ts';

export interface Site {
  readonly servers: readonly NatsProcess[];
  readonly nodes: readonly NodeProcess[];
  /** Where clients connect. */
  readonly clientProxies: readonly TcpProxy[];
}

/** What happened, and when: ms since the epoch. */
export interface Fault {
  readonly kind: string;
  readonly target: string;
  readonly from: number;
  readonly to: number;
}

interface Kind {
  readonly kind: string;
  /** How often it is chosen beside the others. */
  readonly weight: number;
  /** Longest time between its begin and its mending, ms. */
  readonly lastsMs: number;
  /** Where it may strike. */
  readonly targets: (site: Site) => readonly Target[];
}

interface Target {
  readonly name: string;
  begin(random: Random): Promise<void> | void;
  mend(): Promise<void> | void;
}

const SKEW_MS_MAX = 60_000;

const kinds: readonly Kind[] = [
  {
    kind: 'node kill -9',
    weight: 4,
    lastsMs: 3_000,
    targets: ({ nodes }) => nodes.map((node) => downAndUp(node, 'SIGKILL')),
  },
  {
    kind: 'node stop (SIGTERM)',
    weight: 2,
    lastsMs: 2_000,
    targets: ({ nodes }) => nodes.map((node) => downAndUp(node, 'SIGTERM')),
  },
  {
    kind: 'node pause (SIGSTOP)',
    weight: 3,
    lastsMs: 6_000,
    targets: ({ nodes }) => nodes.map(paused),
  },
  {
    kind: 'node cut off',
    weight: 2,
    lastsMs: 5_000,
    targets: ({ nodes }) => nodes.map(({ name, proxy }) => ({ ...cut(proxy), name })),
  },
  {
    kind: 'node black hole',
    weight: 2,
    lastsMs: 5_000,
    targets: ({ nodes }) => nodes.map(({ name, proxy }) => ({ ...stalled(proxy), name })),
  },
  {
    kind: 'node clock skew',
    weight: 2,
    lastsMs: 8_000,
    targets: ({ nodes }) =>
      nodes.map((node) => ({
        name: node.name,
        begin: (random) => node.skew(Math.round((random.next() * 2 - 1) * SKEW_MS_MAX)),
        mend: () => node.skew(0),
      })),
  },
  {
    kind: 'client cut off',
    weight: 1,
    lastsMs: 3_000,
    targets: ({ clientProxies }) => clientProxies.map((proxy, n) => ({ ...cut(proxy), name: `c${n + 1}` })),
  },
  {
    kind: 'server kill -9',
    weight: 3,
    lastsMs: 3_000,
    targets: ({ servers }) => servers.map((server) => downAndUp(server, 'SIGKILL')),
  },
  {
    kind: 'server restart (SIGTERM)',
    weight: 1,
    lastsMs: 1_000,
    targets: ({ servers }) => servers.map((server) => downAndUp(server, 'SIGTERM')),
  },
  {
    kind: 'server pause (SIGSTOP)',
    weight: 1,
    lastsMs: 4_000,
    targets: ({ servers }) => servers.map(paused),
  },
  {
    kind: 'server disk full',
    weight: 1,
    lastsMs: 5_000,
    targets: ({ servers }) =>
      servers.flatMap(({ name, disk }, n) =>
        disk === undefined
          ? []
          : [{ name, begin: () => disk.fill(), mend: () => roomAgain(disk, servers[n]) }],
      ),
  },
];

/**
 * The next fault by chance, of those whose name contains `only`; `busy` names what is faulty already: of the servers only
 * one is at a time.
 */
export function chooseFault(
  random: Random,
  site: Site,
  busy: ReadonlySet<string>,
  only: string,
): { readonly kind: string; readonly target: Target; readonly lastsMs: number } | undefined {
  const isServerDown = site.servers.some(({ name }) => busy.has(name));
  const open = kinds.flatMap((one) => {
    if (!one.kind.includes(only) || (isServerDown && one.kind.startsWith('server'))) return [];
    const targets = one.targets(site).filter(({ name }) => !busy.has(name));
    return targets.length === 0 ? [] : [{ ...one, targets }];
  });
  let left = random.next() * open.reduce((sum, { weight }) => sum + weight, 0);
  for (const { kind, weight, lastsMs, targets } of open) {
    left -= weight;
    if (left >= 0) continue;
    const target = targets[Math.floor(random.next() * targets.length)];
    if (target !== undefined) return { kind, target, lastsMs: random.next() * lastsMs };
  }
  return undefined;
}

interface Process {
  readonly name: string;
  start(): void;
  signal(signal: NodeJS.Signals): void;
  end(signal: 'SIGKILL' | 'SIGTERM'): Promise<void>;
}

function downAndUp(process: Process, signal: 'SIGKILL' | 'SIGTERM'): Target {
  return { name: process.name, begin: () => process.end(signal), mend: () => process.start() };
}

/** A server whose disk was full stores nothing more until it is started again. */
async function roomAgain(disk: SmallDisk, server: Process | undefined): Promise<void> {
  disk.clear();
  await server?.end('SIGTERM');
  server?.start();
}

function paused(process: Process): Target {
  return {
    name: process.name,
    begin: () => process.signal('SIGSTOP'),
    mend: () => process.signal('SIGCONT'),
  };
}

function cut(proxy: TcpProxy): Omit<Target, 'name'> {
  return { begin: () => proxy.cut(), mend: () => proxy.heal() };
}

function stalled(proxy: TcpProxy): Omit<Target, 'name'> {
  return { begin: () => proxy.stall(), mend: () => proxy.heal() };
}
