/**
 * `npm run bench -- kernel|witness|cluster|failover|coordinator|governor|waste|chassis [--json] [--quick] [--only TEXT]`: a subject beside its limits, in one run. With --json a
 * line per case, otherwise a table at the end. `limit` runs the limit alone; --profile DIR leaves CPU profiles;
 * --page puts the figures into docs/performance.md, of `waste` into docs/waste.md.
 */
import { parseArgs } from 'node:util';
import { asks } from './asks.ts';
import { chassis } from './chassis/chassis.ts';
import { coordinator } from './coordinator.ts';
import { failover } from './failover/failover.ts';
import { governor } from './governor/governor.ts';
import { growth } from './growth.ts';
import { logIndex } from './log-index.ts';
import { mail } from './mail.ts';
import { memory } from './memory.ts';
import { recovery } from './recovery.ts';
import { replay } from './replay.ts';
import { conditionsNow, PICTURE, writePage } from './report.ts';
import { type Row, tableOf } from './row.ts';
import { sends } from './sends.ts';
import { start } from './start.ts';
import { timers } from './timers.ts';
import { verify } from './verify.ts';
import { waste } from './waste/waste.ts';
import { witnessLoad } from './witness-load.ts';

const USAGE = `Usage: npm run bench -- kernel|witness|cluster|failover|coordinator|governor|waste|chassis|limit [options]

  --json         a line for each case
  --quick        small: shows that it runs, measures little
  --only TEXT    cases with this text in their name
  --rounds N     of cases that are measured in rounds
  --profile DIR  leaves CPU profiles of what is measured
  --page         puts the figures into the page that shows them
`;
const FULL = { rounds: 5, roundMs: 3_000, scale: 1 };
const QUICK = { rounds: 1, roundMs: 500, scale: 0.02 };
const SUITES = {
  kernel: [asks, sends, mail, timers, memory, recovery, start],
  witness: [verify, replay, logIndex, witnessLoad],
  cluster: [growth],
  failover: [failover],
  coordinator: [coordinator],
  governor,
  waste: [waste],
  chassis,
  limit: [asks],
};

const { values: flags, positionals } = given();
const [subject] = positionals;
if (flags.help) {
  process.stdout.write(USAGE);
  process.exit(0);
}
if (subject === undefined || !isSubject(subject)) refuse(USAGE);

// The processes under measurement end with this one.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));

const base = flags.quick ? QUICK : FULL;
const effort = {
  ...base,
  rounds: flags.rounds === undefined ? base.rounds : Math.max(1, Number(flags.rounds)),
  limitOnly: subject === 'limit',
  profileDir: flags.profile,
  picture: flags.page ? PICTURE : undefined,
};
const wanted = (bench: string) => bench.includes(flags.only);
const conditions = conditionsNow(`npm run bench -- ${process.argv.slice(2).join(' ')}`);
const rows: Row[] = [];
for (const suite of SUITES[subject]) {
  if (!suite.benches.some(wanted)) continue;
  for await (const row of suite.run(wanted, effort)) {
    rows.push(row);
    if (flags.json) process.stdout.write(`${JSON.stringify(row)}\n`);
    else process.stderr.write(`${row.bench}\n`);
  }
}
if (!flags.json) process.stdout.write(`${tableOf(rows)}\n`);
if (flags.page) writePage(subject === 'limit' ? 'kernel' : subject, rows, conditions);

function isSubject(text: string): text is keyof typeof SUITES {
  return Object.hasOwn(SUITES, text);
}

function given() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        help: { type: 'boolean', short: 'h', default: false },
        json: { type: 'boolean', default: false },
        quick: { type: 'boolean', default: false },
        only: { type: 'string', default: '' },
        rounds: { type: 'string' },
        profile: { type: 'string' },
        page: { type: 'boolean', default: false },
      },
    });
  } catch (thrown) {
    return refuse(`${(thrown as Error).message}\n${USAGE}`);
  }
}

function refuse(why: string): never {
  process.stderr.write(why);
  process.exit(2);
}
