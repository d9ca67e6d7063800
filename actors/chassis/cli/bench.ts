/** `chassis bench`: what a guest costs in its jail. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { declare, handle, type Shell } from '#runtime/cli/command';
import { EXIT } from '#runtime/cli/exit-codes';
import { LocalRealm } from '../local.ts';
import { type HereOptions, inputBytes, withGuest, withHere } from './here.ts';
import { count } from './say.ts';

interface Options extends HereOptions {
  readonly input: string;
  readonly runs: number;
}

const RUNS_DEFAULT = 200;
const RUNS_MAX = 100_000;

export function benchCommand(shell: Shell): Command {
  const command = declare({
    name: 'bench',
    summary: 'run a guest many times here, and tell what it costs',
    group: 'Work',
    examples: [["infrafabric chassis bench word-count --input 'to be' --runs 1000", 'one after the other']],
  })
    .argument('[dir]', 'folder of the guest', '.')
    .addOption(new Option('--input <text>', 'what it is given; @file for a file').default('', 'nothing'))
    .option('-n, --runs <n>', 'runs', runsOption, RUNS_DEFAULT);
  return handle<[string], Options>(shell, withHere(command), async (run, dir) => {
    const { io, out, options } = run;
    return await withGuest(run, dir, async ({ chamber, contract, component, grant, gateMs }) => {
      const realm = new LocalRealm(chamber, component);
      const input = inputBytes(options.input, io.cwd);
      const { limits } = contract;
      const took: number[] = [];
      const fuel = new Set<number>();
      const exits = new Map<string, number>();
      const at = Date.now();
      for (let n = 0; n < options.runs; n += 1) {
        const startedAt = performance.now();
        const done = await realm.run({ input, limits, grant, seed: options.seed, at, signal: io.signal });
        io.signal.throwIfAborted();
        took.push(performance.now() - startedAt);
        fuel.add(done.fuel);
        exits.set(done.exit, (exits.get(done.exit) ?? 0) + 1);
      }
      const [firstMs = 0, ...warm] = took;
      const sorted = (warm.length === 0 ? [firstMs] : warm).sort((a, b) => a - b);
      const at99 = (share: number): number => sorted[Math.ceil(sorted.length * share) - 1] ?? 0;
      const report = {
        runs: took.length,
        gateMs,
        firstMs,
        p50Ms: at99(0.5),
        p99Ms: at99(0.99),
        fuel: [...fuel],
        exits: Object.fromEntries(exits),
      };
      out.data(report);
      out.lines([
        `gate   ${gateMs.toFixed(1)} ms`,
        `first  ${firstMs.toFixed(1)} ms, with the start of its process`,
        `warm   p50 ${report.p50Ms.toFixed(2)} ms, p99 ${report.p99Ms.toFixed(2)} ms, ${count(warm.length)} runs`,
        `fuel   ${report.fuel.map(count).join(', ')}${fuel.size === 1 ? ', the same in every run' : ''}`,
        `exits  ${[...exits].map(([exit, times]) => `${exit} ${count(times)}`).join(', ')}`,
      ]);
      return EXIT.ok;
    });
  });
}

function runsOption(text: string): number {
  const runs = /^\d{1,6}$/.test(text) ? Number(text) : 0;
  if (runs < 1 || runs > RUNS_MAX) throw new InvalidArgumentError(`Expected a number from 1 to ${RUNS_MAX}.`);
  return runs;
}
