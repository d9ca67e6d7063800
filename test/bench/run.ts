/** `npm run bench -- kernel [--json] [--quick] [--only TEXT]`: the limit loop and the kernel in one run. */
import { parseArgs } from 'node:util';
import Table from 'cli-table3';
import { askCases, measureAsks, type Row } from './asks.ts';
import { kernelSubject } from './kernel.ts';
import { limitSubject } from './limit/limit.ts';

const USAGE = 'Usage: npm run bench -- kernel|limit [--json] [--quick] [--only TEXT]\n';
const FULL = { rounds: 3, roundMs: 3_000 };
const QUICK = { rounds: 1, roundMs: 500 };

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: { json: { type: 'boolean' }, quick: { type: 'boolean' }, only: { type: 'string', default: '' } },
});
const [suite] = positionals;
if (suite !== 'kernel' && suite !== 'limit') {
  process.stderr.write(USAGE);
  process.exit(2);
}

const rows: Row[] = [];
for (const durability of ['strict', 'relaxed'] as const) {
  const cases = askCases(durability).filter(({ bench }) => bench.includes(flags.only));
  if (cases.length === 0) continue;
  await using limit = await limitSubject(durability === 'strict');
  await using kernel = suite === 'kernel' ? await kernelSubject(durability) : undefined;
  for (const one of cases) {
    const row = await measureAsks(limit, kernel, one, flags.quick === true ? QUICK : FULL);
    rows.push(row);
    if (flags.json === true) process.stdout.write(`${JSON.stringify(row)}\n`);
  }
}
if (flags.json !== true) {
  const table = new Table({
    head: ['case', 'ops/s', 'p50 ms', 'p99 ms', 'limit ops/s', 'ratio'],
    style: { head: [] },
  });
  for (const r of rows) {
    table.push([r.bench, r.opsPerSec, r.p50Ms, r.p99Ms, r.limitOpsPerSec ?? '', r.ratio ?? '']);
  }
  process.stdout.write(`${table.toString()}\n`);
}
