/** `cost watch`: every session as it spends, and the reports that books give by themselves. */
import type { Command } from 'commander';
import { createLogUpdate } from 'log-update';
import { z } from 'zod';
import { readLiveEvent } from '#runtime/bus/live-event';
import { declare, handle, type Run, type Shell } from '#runtime/cli/command';
import { EXIT, type ExitCode } from '#runtime/cli/exit-codes';
import { indexedLog } from '#runtime/cli/indexed-log';
import { type Realm, withRealm } from '#runtime/cli/realm';
import { clock, count, cut } from '#runtime/cli/render/format';
import { type Column, table } from '#runtime/cli/render/table';
import {
  COSTS_TYPE,
  type CostRecord,
  type CostReport,
  costRecordSchema,
  costReportSchema,
} from '#schemas/cost';
import { money, moneyOf } from '../money.ts';
import { Records } from '../report/records.ts';
import { sumsOf } from '../report/sums.ts';

/** What books tell; others' machines may emit what they like. */
const newsSchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('costs.recorded'), record: costRecordSchema }),
  z.object({ type: z.literal('costs.report'), report: costReportSchema }),
]);

const NAME_WIDTH = 40;
/** No sooner than this after the last picture, however much happens. */
const REDRAW_MS = 250;

export function watchCommand(shell: Shell): Command {
  const command = declare({
    name: 'watch',
    summary: 'what is spent, as it is spent',
    description:
      'Follows all books until Ctrl-C. In a terminal it shows every session with what it spent so far and now; elsewhere a line for each record and each report. The sums of the table are those of today.',
    group: 'Work',
    examples: [
      ['infrafabric cost watch', 'all sessions, live'],
      ['infrafabric cost watch --json | jq .record.amountMicros', 'for other programs'],
    ],
  });
  return handle<[], object>(shell, command, async (run) =>
    withRealm(run.options, run.io, (realm) => follow(realm, run), true),
  );
}

async function follow(realm: Realm, run: Run<object>): Promise<ExitCode> {
  const { io, out } = run;
  const news = realm.connection.subscribe(realm.subjects.eventsOf(COSTS_TYPE, '*'));
  io.signal.addEventListener('abort', () => news.unsubscribe(), { once: true });
  const picture = out.live ? await Picture.open(realm, run) : undefined;
  if (picture === undefined) out.note('Follows what is spent, until Ctrl-C.');
  try {
    for await (const message of news) {
      const { success, data } = newsSchema.safeParse(readLiveEvent(message));
      if (!success) continue;
      if (data.type === 'costs.recorded') {
        out.data({ record: data.record });
        if (picture === undefined) out.lines([recordLine(data.record, realm.now())]);
        else picture.add(data.record);
      } else {
        out.data({ report: data.report });
        if (picture === undefined) out.lines([reportLine(data.report, realm.now())]);
      }
    }
  } finally {
    picture?.close();
  }
  return EXIT.interrupted;
}

function recordLine(record: CostRecord, now: number): string {
  const { at, session, task, provider, model, price, amountMicros, tokens } = record;
  const amount = price === null || amountMicros === null ? 'no price' : money(amountMicros, price.currency);
  const who = [session ?? '–', ...(task === null ? [] : [task])].join(' ');
  const used = `${count(tokens.input + tokens.cachedInput)} in, ${count(tokens.output)} out`;
  return `${clock(at, now)}  ${cut(who, NAME_WIDTH)}  ${cut(`${provider}/${model}`, NAME_WIDTH)}  ${used}  ${amount}`;
}

function reportLine({ book, until, spent, total }: CostReport, now: number): string {
  return `${clock(until, now)}  report of ${book}: ${moneyOf(spent.amounts)} in ${count(spent.records)} records; ${moneyOf(total.amounts)} in all`;
}

/** The table of a terminal. */
class Picture {
  readonly #draw: ReturnType<typeof createLogUpdate>;
  readonly #run: Run<object>;
  readonly #records = new Map<string, CostRecord>();
  #timer: ReturnType<typeof setTimeout> | undefined;

  private constructor(run: Run<object>) {
    this.#run = run;
    this.#draw = createLogUpdate(run.io.stdout as NodeJS.WriteStream);
  }

  static async open(realm: Realm, run: Run<object>): Promise<Picture> {
    const picture = new Picture(run);
    const today = new Date(realm.now());
    today.setHours(0, 0, 0, 0);
    const before = new Records({ since: today.getTime() });
    const range = { limit: 0, follow: false, signal: run.io.signal };
    for await (const item of indexedLog(realm, { type: COSTS_TYPE, since: today.getTime() }, range, run))
      before.add(item);
    for (const record of before.all) picture.#records.set(record.id, record);
    picture.#look();
    return picture;
  }

  add(record: CostRecord): void {
    this.#records.set(record.id, record);
    this.#timer ??= setTimeout(() => this.#look(), REDRAW_MS);
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#draw.done();
  }

  #look(): void {
    this.#timer = undefined;
    const { out, io } = this.#run;
    const { rows, total } = sumsOf([...this.#records.values()], ['session']);
    const columns: Column[] = [
      { title: 'session' },
      { title: 'records', align: 'right' },
      { title: 'today', align: 'right' },
    ];
    const lines = rows.map(({ key, records, amounts }) => [
      cut(key['session'] ?? '–', NAME_WIDTH),
      count(records),
      moneyOf(amounts),
    ]);
    const sum = [out.palette.strong('total'), count(total.records), moneyOf(total.amounts)];
    const width = io.stdout.columns ?? out.width;
    this.#draw(table(columns, [...lines, sum], { ...out, width }).join('\n'));
  }
}
