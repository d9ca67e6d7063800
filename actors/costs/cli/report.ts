/** `cost report`: sums of the records in the log. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { declare, handle, moment, type Run, type Shell } from '#runtime/cli/command';
import { EXIT, type ExitCode } from '#runtime/cli/exit-codes';
import { indexedLog } from '#runtime/cli/indexed-log';
import { type Realm, withRealm } from '#runtime/cli/realm';
import { count, cut, plural } from '#runtime/cli/render/format';
import { type Column, table } from '#runtime/cli/render/table';
import { COSTS_TYPE } from '#schemas/cost';
import { SESSION_TYPE } from '#schemas/session';
import { TASK_TYPE } from '#schemas/task';
import { moneyOf } from '../money.ts';
import { Attempts } from '../report/attempts.ts';
import { sumsCsv } from '../report/csv.ts';
import { Records } from '../report/records.ts';
import { DIMENSIONS, type Dimension, type Sum, type Sums, sumsOf } from '../report/sums.ts';
import { WASTE_REASONS, type WasteReport, wasteOf } from '../report/waste.ts';

const NOTHING = 'Nothing was recorded. docs/costs.md shows how costs come in.';

interface Options {
  readonly by: readonly Dimension[];
  readonly since?: number;
  readonly until?: number;
  readonly timeZone: string;
  readonly session?: string;
  readonly task?: string;
  readonly waste?: boolean;
  readonly csv?: boolean;
}

const NAME_WIDTH = 60;

export function reportCommand(shell: Shell): Command {
  const command = declare({
    name: 'report',
    summary: 'what was spent: by session, task, model, day …',
    description:
      'Adds up the cost records in the log: exactly, each once, currencies apart. With --waste it says what was spent on tasks that failed, were cancelled or done again, or went to a worker matching less than 70 %.',
    group: 'Work',
    examples: [
      ['infrafabric cost report', 'by session'],
      [
        'infrafabric cost report --by day,model --since 7d --time-zone Europe/Berlin',
        'days as Berlin has them',
      ],
      ['infrafabric cost report --by task --session ndi --csv > costs.csv', 'for a spreadsheet'],
      ['infrafabric cost report --waste --json', 'for other programs'],
    ],
  })
    .addOption(
      new Option('--by <what,…>', `rows: ${DIMENSIONS.join(', ')}; several split further`)
        .argParser(dimensions)
        .default(['session'], 'session'),
    )
    .option('--since <time>', 'used from then on: 7d ago, or a date and time', moment(Date.now))
    .option('--until <time>', 'used before then', moment(Date.now))
    .option('--time-zone <zone>', 'where a day begins', 'UTC')
    .option('--session <id>', 'only of this session')
    .option('--task <id>', 'only of this task')
    .option('--waste', 'what came to nothing, and why')
    .option('--csv', 'lines of CSV');
  return handle<[], Options>(shell, command, async (run) =>
    withRealm(run.options, run.io, async (realm) => {
      const records = await recordsOf(realm, run);
      if (run.options.waste === true) return tellWaste(wasteOf(records, await attemptsOf(realm, run)), run);
      return tellSums(sumsOf(records, run.options.by, run.options.timeZone), run);
    }),
  );
}

async function recordsOf(realm: Realm, { options, io, out }: Run<Options>) {
  const { since, until, session, task } = options;
  const records = new Records({
    ...(since !== undefined && { since }),
    ...(until !== undefined && { until }),
  });
  const range = { limit: 0, follow: false, signal: io.signal };
  for await (const item of indexedLog(realm, { type: COSTS_TYPE }, range, { io, out })) records.add(item);
  return records.all.filter(
    (record) =>
      (session === undefined || record.session === plainId(session)) &&
      (task === undefined || record.task === plainId(task)),
  );
}

/** Sessions first: what they could do is known when a task goes to them. */
async function attemptsOf(realm: Realm, { io, out }: Run<Options>): Promise<Attempts> {
  const attempts = new Attempts();
  const range = { limit: 0, follow: false, signal: io.signal };
  const quiet = { ...out, note: () => undefined };
  for (const type of [SESSION_TYPE, TASK_TYPE]) {
    for await (const item of indexedLog(realm, { type }, range, { io, out: quiet })) attempts.add(item);
  }
  return attempts;
}

function tellSums(sums: Sums, { options, out }: Run<Options>): ExitCode {
  const { by } = options;
  if (options.csv === true) {
    out.lines(sumsCsv(sums, by));
    return EXIT.ok;
  }
  for (const row of sums.rows) out.data(row);
  out.data({ total: sums.total });
  if (sums.total.records === 0) {
    out.lines([NOTHING]);
    return EXIT.ok;
  }
  const columns: Column[] = [
    ...by.map((title) => ({ title })),
    ...['records', 'input', 'cached', 'output'].map((title): Column => ({ title, align: 'right' })),
    { title: 'amount', align: 'right' },
  ];
  const rows = sums.rows.map((row) => [
    ...by.map((dimension) => cut(row.key[dimension] ?? '–', NAME_WIDTH)),
    ...figures(row),
  ]);
  const totals = by.map((_, n) => (n === 0 ? out.palette.strong('total') : ''));
  out.lines(table(columns, [...rows, [...totals, ...figures(sums.total)]], out));
  out.lines(remarks(sums.total));
  return EXIT.ok;
}

function figures({ records, tokens, amounts }: Sum): string[] {
  const cached = tokens.cachedInput + tokens.cacheWrite + tokens.cacheWriteLong;
  return [count(records), count(tokens.input), count(cached), count(tokens.output), moneyOf(amounts)];
}

function remarks({ unpriced, estimated }: Sum): string[] {
  return [
    ...(unpriced > 0
      ? [
          `${plural(unpriced, 'record has', 'records have')} no price and stand in no amount: \`infrafabric cost rates\`.`,
        ]
      : []),
    ...(estimated > 0
      ? [`Of ${plural(estimated, 'record')} the tokens were estimated: the provider told none.`]
      : []),
  ];
}

function tellWaste(report: WasteReport, { out }: Run<Options>): ExitCode {
  out.data(report);
  const { total, wasted, share, byReason, tasks, unattributed } = report;
  if (total.records === 0) {
    out.lines([NOTHING]);
    return EXIT.ok;
  }
  const percent = Object.entries(share).map(
    ([currency, part]) => `${(part * 100).toFixed(1)} % (${currency})`,
  );
  out.lines([
    `wasted  ${moneyOf(wasted.amounts)} of ${moneyOf(total.amounts)}${percent.length === 0 ? '' : `, ${percent.join(', ')}`}`,
    ...WASTE_REASONS.map((reason) => `  ${reason.padEnd(9)}  ${moneyOf(byReason[reason].amounts)}`),
  ]);
  if (unattributed.records > 0)
    out.lines([
      `Not judged: ${moneyOf(unattributed.amounts)} of ${plural(unattributed.records, 'record')} without a task.`,
    ]);
  if (tasks.length > 0) {
    const rows = tasks.map(({ key, amounts, reasons }) => [
      cut(key['task'] ?? '', NAME_WIDTH),
      reasons.join(', '),
      moneyOf(amounts),
    ]);
    const columns: Column[] = [{ title: 'task' }, { title: 'why' }, { title: 'amount', align: 'right' }];
    out.lines(['', ...table(columns, rows, out)]);
  }
  return EXIT.ok;
}

/** `session/ndi` and `ndi` mean the same. */
function plainId(text: string): string {
  return text.replace(/^(?:session|task)\//, '');
}

function dimensions(text: string): Dimension[] {
  const names = text.split(',');
  const wrong = names.find((name) => !(DIMENSIONS as readonly string[]).includes(name));
  if (wrong !== undefined || new Set(names).size !== names.length)
    throw new InvalidArgumentError(`Expected some of ${DIMENSIONS.join(', ')}, with commas between.`);
  return names as Dimension[];
}
