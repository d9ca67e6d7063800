/** `cost rates`: the price table of the realm, looked at, brought in and taken out. */
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { type Command, Option } from 'commander';
import { actAs, addressOption } from '#actors/coordinator/cli/acting';
import { declare, handle, type Run, type Shell } from '#runtime/cli/command';
import { cliErrors } from '#runtime/cli/errors';
import { EXIT, type ExitCode, Refused } from '#runtime/cli/exit-codes';
import { plural } from '#runtime/cli/render/format';
import { type Column, table } from '#runtime/cli/render/table';
import type { Client } from '#runtime/client/client';
import { FabricError } from '#schemas/fabric-error';
import { formatMoney } from '#schemas/money';
import { PRICES_APPLIED_MAX, type PriceReply, type PriceRow } from '#schemas/price';
import { costErrors } from '../errors.ts';
import { PRICES_ADDRESS, readTable } from '../price-list.ts';
import { readPrices } from '../prices/read.ts';
import { dateOf, pricesCsv, pricesYaml } from '../prices/write.ts';

interface Options {
  readonly import?: string;
  readonly replace?: boolean;
  readonly export?: 'yaml' | 'csv';
  readonly check?: string;
  readonly as?: string;
}

export function ratesCommand(shell: Shell): Command {
  const command = declare({
    name: 'rates',
    summary: 'the prices of models, from when to when',
    description:
      'Shows the price table. --import brings in the rows of a YAML or CSV file: all of it or nothing, and what is wrong is told with line and column. A row that is there keeps its prices unless --replace says otherwise, for records name it; new prices are a new row with a later `from`.',
    group: 'Work',
    examples: [
      ['infrafabric cost rates', 'all rows'],
      ['infrafabric cost rates --check prices.yaml', 'only look whether a file is right'],
      ['infrafabric cost rates --import prices.yaml', 'bring it in'],
      ['infrafabric cost rates --export csv > prices.csv', 'for a spreadsheet'],
    ],
  })
    .addOption(new Option('--import <file>', 'bring in rows: .yaml, .csv').conflicts(['export', 'check']))
    .option('--replace', 'with --import: rows that are there may change')
    .addOption(new Option('--export <form>', 'write the table').choices(['yaml', 'csv']))
    .addOption(new Option('--check <file>', 'only say what is wrong with a file').conflicts('export'))
    .addOption(new Option('--as <address>', 'who acts (default operator/<user>)').argParser(addressOption));
  return handle<[], Options>(shell, command, async (run) => {
    const { options, io, out } = run;
    if (options.check !== undefined) {
      const rows = await rowsIn(options.check, io.cwd);
      out.data({ ok: true, rows: rows.length });
      out.lines([`${options.check}: ${plural(rows.length, 'price')}, nothing wrong.`]);
      return EXIT.ok;
    }
    const rows = options.import === undefined ? undefined : await rowsIn(options.import, io.cwd);
    await using acting = await actAs(options.as, options, io);
    return rows === undefined ? await show(acting.client, run) : await bring(acting.client, rows, run);
  });
}

async function bring(
  client: Client,
  rows: readonly PriceRow[],
  { options, out }: Run<Options>,
): Promise<ExitCode> {
  const added: string[] = [];
  const changed: string[] = [];
  let same = 0;
  for (let at = 0; at < rows.length; at += PRICES_APPLIED_MAX) {
    const batch = rows.slice(at, at + PRICES_APPLIED_MAX);
    const event = { type: 'price.apply', rows: batch, replace: options.replace === true };
    const reply = (await client.ask(PRICES_ADDRESS, event)).reply as PriceReply;
    if (!reply.accepted) {
      const { code, reason, conflicts } = reply;
      throw new Refused(
        new FabricError(costErrors.prices_refused, reason, { details: { code, conflicts: conflicts ?? [] } }),
      );
    }
    added.push(...reply.added);
    changed.push(...reply.changed);
    same += reply.same;
  }
  out.data({ ok: true, added, changed, same });
  out.lines([
    ...added.map((id) => `${out.palette.good('+')} ${id}`),
    ...changed.map((id) => `${out.palette.warn('~')} ${id}`),
    `${added.length} new, ${changed.length} changed, ${same} the same.`,
  ]);
  return EXIT.ok;
}

async function show(client: Client, { options, out, io }: Run<Options>): Promise<ExitCode> {
  const { rows, revision } = await readTable(client);
  if (options.export !== undefined) {
    io.stdout.write(options.export === 'csv' ? pricesCsv(rows) : pricesYaml(rows));
    return EXIT.ok;
  }
  for (const row of rows) out.data(row);
  if (rows.length === 0) {
    out.lines(['There are no prices. Bring some in with --import FILE; docs/costs.md shows a table.']);
    return EXIT.ok;
  }
  const columns: Column[] = [
    { title: 'model' },
    { title: 'from' },
    { title: 'until' },
    ...['input', 'cached', 'write', 'output'].map((title): Column => ({ title, align: 'right' })),
    { title: 'per million' },
  ];
  const lines = rows.map(({ provider, model, from, until, perMillion, currency }) => [
    `${provider}/${model}`,
    dateOf(from),
    until === null ? '–' : dateOf(until),
    formatMoney(perMillion.input),
    own(perMillion.cachedInput),
    own(perMillion.cacheWrite),
    formatMoney(perMillion.output),
    currency,
  ]);
  out.lines([...table(columns, lines, out), `Revision ${revision}.`]);
  return EXIT.ok;
}

function own(micros: number | undefined): string {
  return micros === undefined ? '–' : formatMoney(micros);
}

/** Throws `bad_prices`. */
async function rowsIn(file: string, cwd: string): Promise<PriceRow[]> {
  try {
    return readPrices(file, await readFile(resolve(cwd, file), 'utf8'));
  } catch (cause) {
    if (cause instanceof FabricError) throw cause;
    throw new FabricError(cliErrors.file_unreadable, `${file} cannot be read`, { details: { file }, cause });
  }
}
