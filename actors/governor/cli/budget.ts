/** `budget`: limits, and what is spent of them. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { type CommonOptions, declare, handle, type Shell, wholeNumber } from '#runtime/cli/command';
import { EXIT, Refused } from '#runtime/cli/exit-codes';
import type { Io } from '#runtime/cli/io';
import { watching } from '#runtime/cli/watching';
import {
  ACCOUNT_NAME,
  type AccountView,
  type Degrade,
  type Limit,
  ledgerErrors,
  PERIODS,
  type Period,
  TREE_DEFAULT,
} from '#schemas/budget';
import { FabricError } from '#schemas/fabric-error';
import { parseMoney } from '#schemas/money';
import { actAs, addressOption } from '../../coordinator/cli/acting.ts';
import { type AccountSettings, type Budgets, openBudgets } from '../budgets.ts';
import { governorErrors } from '../errors.ts';
import { forecastOf } from '../forecast.ts';
import { accountLines, forecastTable, treeTable } from '../pictures.ts';

/** Not null, which commander takes for an option without its argument. */
const NONE = 'none';

interface TreeOptions extends CommonOptions {
  readonly tree: string;
  readonly as?: string;
}

interface SetOptions extends TreeOptions {
  readonly parent?: string;
  readonly currency?: string;
  readonly limit?: number | typeof NONE;
  readonly tokens?: number | typeof NONE;
  readonly period?: Period;
  readonly zone?: string;
  readonly degrade?: string;
  readonly at?: number;
  readonly extra?: number;
  readonly extraTokens?: number;
  readonly reason?: string;
}

export function budgetCommand(shell: Shell): Command {
  return declare({
    name: 'budget',
    summary: 'limits in money and tokens, and what is spent of them',
    group: 'Work',
    examples: [
      ['infrafabric budget set realm --currency EUR --limit 50 --period day', 'open the top of a tree'],
      ['infrafabric budget set session:ndi --parent realm --limit 10', 'and an account below it'],
      ['infrafabric budget tree', 'all accounts'],
      ['infrafabric budget forecast', 'when they will be used up'],
    ],
  })
    .addCommand(setCommand(shell))
    .addCommand(showCommand(shell))
    .addCommand(treeCommand(shell))
    .addCommand(forecastCommand(shell));
}

function setCommand(shell: Shell): Command {
  const command = withTree(
    declare({
      name: 'set',
      summary: 'open an account, change its limit, or give more for this period',
      description:
        'Opens an account of a budget tree, or changes what is named of one. The first account of a tree names its currency, every other one its parent. --extra gives more until the period ends, for a reason that goes on record with your name.',
      group: 'Work',
      examples: [
        ['infrafabric budget set realm --currency EUR --limit 50 --period day --zone Europe/Berlin', ''],
        ['infrafabric budget set session:ndi --parent realm --limit 10 --tokens 2000000', ''],
        ['infrafabric budget set realm --degrade model:small --at 80', 'ask for less from 80 % on'],
        ['infrafabric budget set realm --extra 20 --reason "release day"', 'for this period only'],
      ],
    }),
  )
    .argument('<account>', 'its name; by custom whose it is: realm, swarm:a, session:ndi', accountOption)
    .option('--parent <account>', 'the account above')
    .addOption(new Option('--currency <code>', 'of a new tree, ISO 4217').argParser(currencyCode))
    .addOption(
      new Option('--limit <money>', 'in units of the currency; none: no limit').argParser(moneyOrNone),
    )
    .addOption(new Option('--tokens <n>', 'none: no limit').argParser(numberOrNone))
    .addOption(new Option('--period <period>', 'after which spending begins at 0').choices([...PERIODS]))
    .option('--zone <zone>', 'time zone in which days begin (default UTC)')
    .option('--degrade <what>', 'what workers are told when it gets scarce: queue, model:NAME, none')
    .option('--at <percent>', 'from where on (default 80 for a model, 100 for the queue)', wholeNumber)
    .addOption(new Option('--extra <money>', 'more for this period only, with --reason').argParser(money))
    .option('--extra-tokens <n>', 'the same in tokens', wholeNumber)
    .option('--reason <text>', 'why, for the record')
    .addOption(new Option('--as <address>', 'who acts (default operator/<user>)').argParser(addressOption));
  return handle<[string], SetOptions>(shell, command, async ({ io, out, options }, name) => {
    const { extra, extraTokens, reason } = options;
    const isOverride = extra !== undefined || extraTokens !== undefined;
    if (isOverride && reason === undefined)
      throw new FabricError(governorErrors.reason_missing, 'More than the limit needs a reason');
    const account = await withBudgets(options, io, async (budgets) => {
      const before = (await budgets.account(name))?.account;
      const settings = settingsOf(options, before?.limit);
      const isSet = before === undefined || Object.keys(settings).some((key) => key !== 'reason');
      const set = isSet ? await opened(budgets.set(name, settings), before === undefined, options) : before;
      if (!isOverride) return set;
      return await budgets.override(name, { micros: extra ?? 0, tokens: extraTokens ?? 0 }, reason ?? '');
    });
    out.data(account);
    const { palette } = out;
    out.lines([`${palette.good('✓')} ${accountLines(account, [], Date.now(), out).slice(0, 3).join('\n')}`]);
    return EXIT.ok;
  });
}

function showCommand(shell: Shell): Command {
  const command = withTree(
    declare({
      name: 'show',
      summary: 'one account: spent, held, left, and how long it lasts',
      group: 'Work',
      examples: [
        ['infrafabric budget show session:ndi', ''],
        ['infrafabric budget show realm --watch', 'again and again, until Ctrl-C'],
      ],
    }),
  )
    .argument('<account>', 'its name')
    .option('--watch', 'until Ctrl-C');
  return handle<[string], TreeOptions & { readonly watch?: boolean }>(
    shell,
    command,
    async ({ io, out, options }, name) => {
      await withBudgets(options, io, async (budgets) => {
        await watching({ io, out, again: options.watch === true }, async () => {
          const found = await budgets.account(name);
          if (found === undefined) throw noAccount(name, options);
          out.data({ ...found.account, forecast: forecastOf(found.account, Date.now()) });
          return accountLines(found.account, found.above, Date.now(), out);
        });
      });
      return EXIT.ok;
    },
  );
}

function treeCommand(shell: Shell): Command {
  const command = withTree(
    declare({
      name: 'tree',
      summary: 'all accounts, each below its parent',
      group: 'Work',
      examples: [['infrafabric budget tree', '']],
    }),
  );
  return handle<[], TreeOptions>(shell, command, async ({ io, out, options }) => {
    const accounts = await withBudgets(options, io, (budgets) => budgets.accounts());
    for (const account of accounts) out.data(account);
    out.lines(accounts.length === 0 ? nothing(options.tree) : treeTable(accounts, out));
    return EXIT.ok;
  });
}

function forecastCommand(shell: Shell): Command {
  const command = withTree(
    declare({
      name: 'forecast',
      summary: 'when budgets will be used up, at the rate of the last hour',
      group: 'Work',
      examples: [['infrafabric budget forecast', '']],
    }),
  ).argument('[account]', 'this one only');
  return handle<[string | undefined], TreeOptions>(shell, command, async ({ io, out, options }, name) => {
    const all = await withBudgets(options, io, (budgets) => budgets.accounts());
    const accounts = name === undefined ? all : all.filter(({ account }) => account === name);
    if (name !== undefined && accounts.length === 0) throw noAccount(name, options);
    const now = Date.now();
    for (const account of accounts) out.data({ account: account.account, ...forecastOf(account, now) });
    // Out of its tree an account stands for itself.
    const rows = name === undefined ? accounts : accounts.map((account) => ({ ...account, parent: null }));
    out.lines(rows.length === 0 ? nothing(options.tree) : forecastTable(rows, now, out));
    return EXIT.ok;
  });
}

function noAccount(name: string, { tree }: TreeOptions): Refused {
  return new Refused(
    new FabricError(ledgerErrors.unknown_account, `There is no account ${name} in tree ${tree}`),
  );
}

/** What a new account lacks is an option of this command: which one says more than what the ledger does not like. */
async function opened(
  set: Promise<AccountView>,
  isNew: boolean,
  { currency, parent }: SetOptions,
): Promise<AccountView> {
  try {
    return await set;
  } catch (thrown) {
    if (!isNew || !(thrown instanceof FabricError)) throw thrown;
    const { code, message, retryable } = thrown;
    const isFirst = code === ledgerErrors.currency_differs.code && currency === undefined;
    const isOrphan = code === ledgerErrors.parent_differs.code && parent === undefined;
    if (!isFirst && !isOrphan) throw thrown;
    const help = isFirst
      ? 'Name its currency: --currency EUR.'
      : 'Name the account above it: --parent realm; `infrafabric budget tree` shows those there are.';
    throw new Refused(new FabricError({ code, retryable, help }, message, { cause: thrown }));
  }
}

function withTree(command: Command): Command {
  return command.option('--tree <name>', 'the budget tree', TREE_DEFAULT);
}

async function withBudgets<T>(
  options: TreeOptions,
  io: Io,
  use: (budgets: Budgets) => Promise<T>,
): Promise<T> {
  await using acting = await actAs(options.as, options, io);
  try {
    return await use(openBudgets(acting.client, options.tree));
  } catch (thrown) {
    const isRefusal = thrown instanceof FabricError && Object.hasOwn(ledgerErrors, thrown.code);
    throw isRefusal ? new Refused(thrown) : thrown;
  }
}

/** What is named; of the two limits one may stay as it is. */
function settingsOf(options: SetOptions, before: Limit | undefined): AccountSettings {
  const { parent, currency, limit, tokens, period, zone, degrade, at, reason } = options;
  const hasLimit = limit !== undefined || tokens !== undefined;
  const micros = limit === undefined ? (before?.micros ?? null) : boundOf(limit);
  const count = tokens === undefined ? (before?.tokens ?? null) : boundOf(tokens);
  return {
    ...(parent !== undefined && { parent }),
    ...(currency !== undefined && { currency }),
    ...(hasLimit && { limit: { micros, tokens: count } }),
    ...(period !== undefined && { period }),
    ...(zone !== undefined && { zone }),
    ...(degrade !== undefined && { degrade: degradeOf(degrade, at) }),
    ...(reason !== undefined && { reason }),
  };
}

function boundOf(given: number | typeof NONE): number | null {
  return given === NONE ? null : given;
}

/** Throws `bad_degrade`. */
function degradeOf(text: string, at: number | undefined): Degrade | null {
  if (text === NONE) return null;
  if (text === 'queue') return { to: 'queue', at: at ?? 100 };
  const model = text.startsWith('model:') ? text.slice('model:'.length) : '';
  if (model === '')
    throw new FabricError(governorErrors.bad_degrade, `"${text}" is nothing a worker can do instead`);
  return { to: 'model', model, at: at ?? 80 };
}

function nothing(tree: string): string[] {
  return [
    `There are no budgets in tree ${tree} yet.`,
    'Open the first with `infrafabric budget set realm --currency EUR --limit 50 --period day`.',
  ];
}

function accountOption(text: string): string {
  if (!ACCOUNT_NAME.test(text))
    throw new InvalidArgumentError('Expected letters, digits and . _ @ + = ~ : -, such as session:ndi.');
  return text;
}

function currencyCode(text: string): string {
  const code = text.toUpperCase();
  if (!/^[A-Z]{3}$/.test(code)) throw new InvalidArgumentError('Expected a code of ISO 4217 such as EUR.');
  return code;
}

function money(text: string): number {
  const micros = parseMoney(text);
  if (micros === undefined) throw new InvalidArgumentError('Expected an amount such as 12 or 12.50.');
  return micros;
}

function moneyOrNone(text: string): number | typeof NONE {
  return text === NONE ? NONE : money(text);
}

function numberOrNone(text: string): number | typeof NONE {
  if (text === NONE) return NONE;
  if (!/^\d{1,15}$/.test(text)) throw new InvalidArgumentError('Expected a whole number from 0, or none.');
  return Number(text);
}
