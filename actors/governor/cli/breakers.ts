/** `governor breakers|reset`: which workers and providers are kept from work, and how they come back. */
import { setTimeout as pause } from 'node:timers/promises';
import { type Command, Option } from 'commander';
import { declare, handle, type Shell, timeoutOption } from '#runtime/cli/command';
import { EXIT, Refused } from '#runtime/cli/exit-codes';
import { BREAKER_TYPE, type BreakerView, breakerErrors } from '#schemas/breaker';
import { BUDGET_TYPE } from '#schemas/budget';
import { FabricError } from '#schemas/fabric-error';
import { parseMoney } from '#schemas/money';
import { type Acting, actAs, addressOption } from '../../coordinator/cli/acting.ts';
import { type Breakers, openBreakers } from '../breakers.ts';
import { openBudgets } from '../budgets.ts';
import { governorErrors } from '../errors.ts';
import { breakerTable } from '../pictures.ts';

/** A budget tells its breakers by mail, within a commit or two. */
const TOLD_TIMEOUT_MS = 10_000;
const LOOK_EVERY_MS = 20;

export function breakersCommand(shell: Shell): Command {
  const command = declare({
    name: 'breakers',
    summary: 'which workers and providers are kept from work, and why',
    group: 'Work',
    examples: [['infrafabric governor breakers', '']],
  }).option('--all', 'closed ones, too');
  return handle<[], { readonly all?: boolean }>(shell, command, async ({ io, out, options }) => {
    await using acting = await actAs(undefined, options, io);
    const breakers: BreakerView[] = [];
    for await (const { address, value } of acting.realm.actors({ type: BREAKER_TYPE })) {
      if (value === 'closed' && options.all !== true) continue;
      breakers.push(await openBreakers(acting.client).get(address.slice(BREAKER_TYPE.length + 1)));
    }
    for (const breaker of breakers) out.data(breaker);
    out.lines(
      breakers.length === 0 ? ['No breaker is open.'] : breakerTable(breakers, acting.realm.now(), out),
    );
    return EXIT.ok;
  });
}

interface ResetOptions {
  readonly reason: string;
  readonly limit?: string;
  readonly as?: string;
  readonly timeout: number;
}

export function resetCommand(shell: Shell): Command {
  const command = declare({
    name: 'reset',
    summary: 'close a breaker, for a reason',
    description:
      'Closes the breaker of a worker or a provider; the reason goes on record with your name. One that opened with an exhausted budget needs a new limit first, which --limit sets.',
    group: 'Work',
    examples: [
      ['infrafabric governor reset provider:openai --reason "they are back"', ''],
      ['infrafabric governor reset session:ndi --limit 20 --reason "the customer pays for more"', ''],
    ],
  })
    .argument('<breaker>', 'whose: session:ndi, provider:openai')
    .requiredOption('--reason <text>', 'why, for the record')
    .option('--limit <money>', 'new limit of the budget that opened it, in units of its currency')
    .addOption(new Option('--as <address>', 'who acts (default operator/<user>)').argParser(addressOption))
    .addOption(timeoutOption(TOLD_TIMEOUT_MS));
  return handle<[string], ResetOptions>(shell, command, async ({ io, out, options }, id) => {
    const { reason, limit, timeout } = options;
    await using acting = await actAs(options.as, options, io);
    const breakers = openBreakers(acting.client);
    try {
      if (limit !== undefined) await giveMore(acting, await breakers.get(id), limit, reason);
      const breaker = await closed(breakers, id, reason, limit === undefined ? 0 : timeout);
      out.data(breaker);
      out.lines([`${out.palette.good('✓')} ${id} is closed, by ${acting.as}`]);
    } catch (thrown) {
      const isRefusal = thrown instanceof FabricError && Object.hasOwn(breakerErrors, thrown.code);
      throw isRefusal ? new Refused(thrown) : thrown;
    }
    return EXIT.ok;
  });
}

/** Throws `budget_unclear`. */
async function giveMore({ client }: Acting, { id, budgets }: BreakerView, limit: string, reason: string) {
  const micros = parseMoney(limit);
  const [empty, ...more] = budgets.filter(({ exhausted }) => exhausted);
  if (micros === undefined || empty === undefined || more.length > 0) {
    const why =
      micros === undefined
        ? `"${limit}" is no amount`
        : `${id} is kept open by ${more.length === 0 ? 'no budget' : `${more.length + 1} budgets`}`;
    throw new FabricError(governorErrors.budget_unclear, why);
  }
  const [tree = '', account = ''] = empty.budget.slice(BUDGET_TYPE.length + 1).split(/:(.*)/s);
  const books = openBudgets(client, tree);
  const tokens = (await books.account(account))?.account.limit.tokens ?? null;
  await books.set(account, { limit: { micros, tokens }, reason });
}

/** The budget says that it goes on a moment after its new limit. */
async function closed(
  breakers: Breakers,
  id: string,
  reason: string,
  timeoutMs: number,
): Promise<BreakerView> {
  for (const deadline = Date.now() + timeoutMs; ; ) {
    try {
      return await breakers.reset(id, reason);
    } catch (thrown) {
      const isEarly = thrown instanceof FabricError && thrown.code === 'budget_still_exhausted';
      if (!isEarly || Date.now() >= deadline) throw thrown;
    }
    await pause(LOOK_EVERY_MS);
  }
}
