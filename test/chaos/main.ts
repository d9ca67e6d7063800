/**
 * `npm run chaos -- [--minutes M] [--servers 1|3] [--nodes N] [--seed S] [--only FAULT] [--report FILE] [--keep] [--json]`:
 * faults on real processes, and the promises checked over what clients saw. Ends with code 1 where one was broken.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { reportHtml, summaryOf } from './report.ts';
import { runChaos } from './run.ts';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '2' },
    servers: { type: 'string', default: '3' },
    nodes: { type: 'string', default: '3' },
    seed: { type: 'string' },
    only: { type: 'string', default: '' },
    report: { type: 'string' },
    keep: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
  },
});
const seed = values.seed === undefined ? Date.now() % 1_000_000 : Number(values.seed);
const [minutes, servers, nodes] = [values.minutes, values.servers, values.nodes].map(Number) as [
  number,
  number,
  number,
];
const folder = mkdtempSync(join(tmpdir(), 'infrafabric-chaos-'));
const stopping = new AbortController();
process.once('SIGINT', () => stopping.abort());
const say = (line: string): void => {
  if (!values.json) process.stdout.write(`${line}\n`);
};

let isSound = false;
try {
  const result = await runChaos({
    only: values.only,
    seed,
    minutes,
    servers,
    nodes,
    folder,
    tell: say,
    signal: stopping.signal,
  });
  const summary = summaryOf(result);
  isSound = result.violations.length === 0;
  const command = `npm run chaos -- --minutes ${minutes} --servers ${servers} --nodes ${nodes} --seed ${seed}`;
  if (values.report !== undefined) {
    writeFileSync(values.report, reportHtml(result, { seed, servers, nodes, command }));
    say(`the picture is in ${values.report}`);
  }
  for (const one of result.violations) say(`violation: ${one}`);
  if (values.json)
    process.stdout.write(`${JSON.stringify({ seed, ...summary, found: result.violations })}\n`);
  else
    say(
      Object.entries(summary)
        .map(([name, value]) => `${name} ${value}`)
        .join(', '),
    );
} finally {
  if (isSound && !values.keep) rmSync(folder, { recursive: true, force: true });
  else say(`logs and histories are in ${folder}`);
}
process.exitCode = isSound ? 0 : 1;
