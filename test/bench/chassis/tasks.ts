/**
 * Tasks of a small guest through the jail, beside the same guest in this process without one, and beside Extism: fresh
 * instances each time, by one caller and by four. New components on a jail that is warm; runaways after their limit.
 */
import { readdirSync, readFileSync } from 'node:fs';
import createPlugin from '@extism/extism';
import type { GatedComponent } from '#runtime/sandbox/gate/types';
import { Jail } from '#runtime/sandbox/jail/pool';
import type { JailTask } from '#runtime/sandbox/jail/types';
import { closedLoop, figures, quantile } from '../measure.ts';
import { type Row, rounded, row } from '../row.ts';
import type { Effort, Suite } from '../suite.ts';
import { bareRun } from './bare.ts';
import { echo, extismEcho, forever } from './guests.ts';

const WARM = 'task: small guest, warm';
const FOUR = 'task: small guest, warm, 4 at a time';
const BARE = 'task: small guest, no jail';
const EXTISM = 'task: small guest, Extism js-sdk';
const NEW = 'component: new to a warm jail';
const GATE = 'component: through the gate';
const OUT_OF_TIME = 'runaway: dead after its time';
const OUT_OF_FUEL = 'runaway: dead after its fuel';
const MEMORY = 'memory of a process with an instance';

const INPUT = new Uint8Array(64).fill(7);
const PLACES = 4;
const TENANT = 'bench';
const WALL_MS = 20;
const LIMITS: JailTask['limits'] = {
  memoryBytes: 64 * 2 ** 20,
  fuel: 1_000_000_000,
  wallMs: 10_000,
  callsPerSecond: 10,
  callBurst: 20,
  outputBytes: 2 ** 20,
  logBytes: 2 ** 16,
};

export const tasks: Suite = {
  benches: [WARM, FOUR, BARE, EXTISM, GATE, NEW, OUT_OF_TIME, OUT_OF_FUEL, MEMORY],
  async *run(wanted, effort) {
    await using jail = await Jail.open({ require: 'any', size: PLACES });
    const small = await jail.prepare(await echo());
    const done = (component: GatedComponent, tenant = TENANT) => runs(jail, component, tenant);
    const bare = await bareRun(small);
    await warmUp(() => done(small), effort);
    const limit = await measured(async () => bare(INPUT), effort);

    if (wanted(BARE)) yield row(BARE, { ...limit });
    if (wanted(WARM)) yield besides(WARM, await measured(() => done(small), effort), limit);
    if (wanted(FOUR)) {
      const tenants = (caller: number) => done(small, `${TENANT}${caller}`);
      await warmUp(() => Promise.all([0, 1, 2, 3].map(tenants)), effort);
      yield besides(FOUR, await measured((_, caller) => tenants(caller), effort, PLACES), limit);
    }
    if (wanted(EXTISM)) yield besides(EXTISM, await measured(await extismRun(), effort), limit);
    if (wanted(GATE) || wanted(NEW)) yield* newComponents(jail, effort, wanted);
    const runaway = await jail.prepare(await forever());
    if (wanted(OUT_OF_TIME)) {
      yield await overshoot(OUT_OF_TIME, jail, runaway, effort, {
        ...LIMITS,
        wallMs: WALL_MS,
        fuel: 10 ** 15,
      });
    }
    if (wanted(OUT_OF_FUEL)) {
      yield await overshoot(OUT_OF_FUEL, jail, runaway, effort, { ...LIMITS, fuel: 1_000_000 });
    }
    if (wanted(MEMORY)) yield row(MEMORY, memoryOfChildren());
  },
};

const measured = async (
  operation: (n: number, caller: number) => Promise<unknown>,
  effort: Effort,
  callers = 1,
) => figures(await closedLoop({ callers, durationMs: effort.roundMs * 2, operation }));

const warmUp = (operation: () => Promise<unknown>, { roundMs }: Effort) =>
  closedLoop({ callers: 1, durationMs: Math.min(roundMs, 1_000), operation });

function besides(bench: string, own: ReturnType<typeof figures>, limit: ReturnType<typeof figures>): Row {
  return row(bench, {
    ...own,
    limitOpsPerSec: limit.opsPerSec,
    ratio: rounded(own.opsPerSec / limit.opsPerSec, 3),
  });
}

function taskOf(component: GatedComponent, tenant: string, limits = LIMITS): JailTask {
  const host = () => Promise.reject(new Error('no guest here has a world'));
  return { component, input: INPUT, limits, seed: 1n, now: 0, tenant, host };
}

async function runs(jail: Jail, component: GatedComponent, tenant: string): Promise<void> {
  const result = await jail.run(taskOf(component, tenant));
  if (result.kind !== 'done') throw new Error(`the guest failed: ${result.error.message}`);
  if (result.output.length !== INPUT.length) throw new Error('the guest gave something else back');
}

/** A fresh plugin a task, as its own instances are. */
async function extismRun(): Promise<() => Promise<void>> {
  const module = await WebAssembly.compile(Uint8Array.from(await extismEcho()));
  return async () => {
    const plugin = await createPlugin(module, { useWasi: false });
    const output = await plugin.call('run', INPUT);
    if (output?.bytes().length !== INPUT.length) throw new Error('the plugin gave something else back');
    await plugin.close();
  };
}

/** Each of another digest: through the gate in its jail, then its first task in a process that has run others. */
async function* newComponents(jail: Jail, { scale }: Effort, wanted: (bench: string) => boolean) {
  const count = Math.max(3, Math.round(60 * scale));
  const times = { gate: new Float64Array(count), first: new Float64Array(count) };
  for (let number = 0; number < count; number += 1) {
    const bytes = await echo(number + 1);
    const began = performance.now();
    const component = await jail.prepare(bytes);
    const gated = performance.now();
    await runs(jail, component, TENANT);
    times.gate[number] = gated - began;
    times.first[number] = performance.now() - gated;
  }
  if (wanted(GATE)) yield row(GATE, quantiles(times.gate));
  if (wanted(NEW)) yield row(NEW, quantiles(times.first));
}

/** From the limit, or from the beginning where that is no time, to the answer that says so. */
async function overshoot(
  bench: string,
  jail: Jail,
  component: GatedComponent,
  { scale }: Effort,
  limits: JailTask['limits'],
): Promise<Row> {
  const count = Math.max(3, Math.round(60 * scale));
  const late = new Float64Array(count);
  for (let n = 0; n < count; n += 1) {
    // A process is gone after a failure: the next one has to be up before its task is timed.
    await runs(jail, await smallOf(jail), TENANT);
    const result = await jail.run(taskOf(component, TENANT, limits));
    if (result.kind !== 'failed') throw new Error('a runaway came to an end');
    late[n] = result.ms - (bench === OUT_OF_TIME ? limits.wallMs : 0);
  }
  return row(bench, quantiles(late));
}

let small: Promise<GatedComponent> | undefined;
async function smallOf(jail: Jail): Promise<GatedComponent> {
  small ??= jail.prepare(await echo());
  return await small;
}

function quantiles(times: Float64Array) {
  times.sort();
  return {
    p50Ms: rounded(quantile(times, 0.5), 2),
    p99Ms: rounded(quantile(times, 0.99), 2),
    times: times.length,
  };
}

/** Proportional set size of the jail's processes: what each has for itself, and its share of what they have together. */
function memoryOfChildren() {
  const sizes = descendantsOf(process.pid).flatMap((pid) => {
    try {
      const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
      const kib = Number(/^Pss:\s+(\d+) kB/m.exec(rollup)?.[1]);
      return kib > 10_000 ? [kib / 1_024] : [];
    } catch {
      return []; // It has ended meanwhile.
    }
  });
  const mean = sizes.reduce((sum, size) => sum + size, 0) / sizes.length;
  return { processes: sizes.length, pssMib: rounded(mean, 1) };
}

function descendantsOf(parent: number): number[] {
  const parents = readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
      return [[Number(name), Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1])] as const];
    } catch {
      return []; // It has ended meanwhile.
    }
  });
  const children = (of: number): number[] =>
    parents.flatMap(([pid, itsParent]) => (itsParent === of ? [pid, ...children(pid)] : []));
  return children(parent);
}
