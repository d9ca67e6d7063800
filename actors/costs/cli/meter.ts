/** `meter`: stands in front of model providers, counts, and lets through what a budget pays for. */
import { readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { type Command, Option } from 'commander';
import { type Acting, actAs, addressOption } from '#actors/coordinator/cli/acting';
import { openBreakers } from '#actors/governor/breakers';
import { openBudgets } from '#actors/governor/budgets';
import { declare, handle, type Run, type Shell, wholeNumber } from '#runtime/cli/command';
import { cliErrors } from '#runtime/cli/errors';
import { EXIT } from '#runtime/cli/exit-codes';
import { clock, count, cut } from '#runtime/cli/render/format';
import { tokenIn } from '#runtime/cli/token-file';
import type { CostRecord } from '#schemas/cost';
import { FabricError, type WireError } from '#schemas/fabric-error';
import type { MeterConfig } from '#schemas/meter';
import { openCosts } from '../client.ts';
import { Callers, type KnownCaller } from '../meter/callers.ts';
import { Circuit } from '../meter/circuit.ts';
import { keyOf, meterOf, readMeter } from '../meter/config.ts';
import { Holders } from '../meter/holders.ts';
import { type Meter, type MeteredProvider, openMeter } from '../meter/meter.ts';
import { Till, type TillNews } from '../meter/till.ts';
import { UnderWay } from '../meter/under-way.ts';
import { Upstream } from '../meter/upstream.ts';
import { wireOf } from '../meter/wires.ts';
import { money } from '../money.ts';
import { PriceList } from '../price-list.ts';

const TOKEN_FILE = 'meter.token';
const CALLS_FOLDER = 'meter';
const ACTOR = 'meter/main';
/** Beyond the longest silence, so that nothing is given back that is still being made. */
const LEASE_MORE_MS = 60_000;
const LEASE_MS_MAX = 86_400_000;

interface Options {
  readonly port?: number;
  readonly as: string;
  readonly budget: boolean;
}

export function meterCommand(shell: Shell): Command {
  const command = declare({
    name: 'meter',
    summary: 'stand in front of model providers: count what agents use, and hold them to their budgets',
    description:
      'Serves the APIs of OpenAI and Anthropic on loopback and forwards to them, streams as they come. Before a call is forwarded its budget has to hold what it may cost; afterwards what it took, by the provider’s own figures, is charged and recorded. Agents need another base URL, and the meter’s token for a key. Without a config it serves those providers whose OPENAI_API_KEY or ANTHROPIC_API_KEY is set.',
    group: 'Work',
    examples: [
      ['infrafabric meter', 'in front of the providers whose keys are set'],
      ['infrafabric meter meter.yaml --port 7434', 'as a config says'],
      ['infrafabric meter --no-budget', 'count only'],
    ],
  })
    .argument('[config]', 'a YAML file; docs/meter.md')
    .addOption(new Option('--port <port>', 'listen there').argParser(wholeNumber))
    .addOption(new Option('--as <address>', 'who charges').argParser(addressOption).default(ACTOR))
    .option('--no-budget', 'reserve nothing, only count');
  return handle<[string | undefined], Options>(shell, command, async (run, file) => {
    const { options, io, out } = run;
    const config = file === undefined ? meterOf(io.env) : readConfig(file, io.cwd);
    const pathOf = (name: string): string => resolve(io.cwd, file === undefined ? '.' : dirname(file), name);
    // Before anything is opened: what is wrong with keys is told at once.
    const upstreams = upstreamsOf(config, run, pathOf);
    await using acting = await actAs(options.as, options, io, true);
    const providers = providersOf(config, run, acting, upstreams);
    const tokenFile = join(acting.realm.target.dataDir ?? io.cwd, TOKEN_FILE);
    const callers = [
      { token: tokenIn(tokenFile), session: undefined, swarm: undefined, account: undefined },
      ...config.callers.map(
        ({ tokenFile: own, session, swarm, budget }): KnownCaller => ({
          token: tokenIn(pathOf(own)),
          session,
          swarm,
          account: budget,
        }),
      ),
    ];
    using prices = new PriceList(acting.client);
    // Beneath the meter: what is still under way when it closes stays for the next.
    // Each actor its own: it alone may end its reservations.
    const folder = join(acting.realm.target.dataDir ?? io.cwd, CALLS_FOLDER, options.as.replace('/', '.'));
    const { underWay, lost } = UnderWay.open(folder);
    using _ = underWay;
    const till = tillOf(run, config, acting, prices, underWay);
    await using meter = await open(run, config, till, providers, new Callers(callers));
    till.chargeLost(lost);
    const guessed = lost.filter(({ used }) => used === undefined).length;
    if (lost.length > 0)
      out.note(`${lost.length} calls of a meter that was killed are charged, ${guessed} of them by estimate`);
    const bases = [...providers].map(([name, { wire }]) => ({
      name,
      ...wireOf(wire).base(`${meter.url}/${name}`),
    }));
    out.data({ ok: true, url: meter.url, tokenFile, providers: bases });
    out.lines([
      `${options.as} meters on ${meter.url}`,
      ...bases.map(({ variable, url }) => `  ${variable}=${url}`),
      `  with the token in ${tokenFile} as the key`,
    ]);
    await aborted(io.signal);
    return EXIT.ok;
  });
}

function tillOf(
  { options, out }: Run<Options>,
  config: MeterConfig,
  { client, realm }: Acting,
  prices: PriceList,
  underWay: UnderWay,
): Till {
  const { limits } = config;
  const told = (news: TillNews): void => {
    out.data(news);
    if (news.event === 'charged') out.lines([chargedLine(news.record, realm.now())]);
    else
      out.note(
        `not charged yet: ${news.id}: ${news.error.message}${news.willTry ? '; it is tried again' : ''}`,
      );
  };
  const isBudgeted = options.budget && config.budget === 'required';
  return new Till({
    costs: openCosts(client, prices),
    prices,
    budgets: isBudgeted ? openBudgets(client, config.tree) : undefined,
    isUnpricedForwarded: config.unpriced === 'forward',
    leaseMs: Math.min(LEASE_MS_MAX, limits.silence + LEASE_MORE_MS),
    callsAhead: limits.callsAhead,
    idleMs: limits.idle,
    holders: new Holders(client),
    underWay,
    bytesPerToken: limits.bytesPerToken,
    outputMax: limits.outputMax,
    told,
  });
}

async function open(
  run: Run<Options>,
  { limits, listen, others }: MeterConfig,
  till: Till,
  providers: ReadonlyMap<string, MeteredProvider>,
  callers: Callers,
): Promise<Meter> {
  return await openMeter({
    host: listen.host,
    port: run.options.port ?? listen.port,
    providers,
    callers,
    till,
    callsMax: limits.callsMax,
    bodyBytesMax: limits.bodyBytesMax,
    passesOthers: others === 'pass',
    failed: failedTo(run),
  });
}

function providersOf(
  { providers, breakers }: MeterConfig,
  run: Run<Options>,
  { client }: Acting,
  upstreams: ReadonlyMap<string, Upstream>,
): ReadonlyMap<string, MeteredProvider> {
  return new Map(
    [...upstreams].map(([name, upstream]) => {
      const { wire = 'openai', prices = name, reasoning = 'hidden' } = providers[name] ?? {};
      const circuit = breakers && {
        circuit: new Circuit(openBreakers(client), `provider:${name}`, failedTo(run)),
      };
      return [name, { wire, upstream, prices, showsAll: reasoning === 'shown', ...circuit }];
    }),
  );
}

function failedTo({ out }: Run<Options>): (error: WireError) => void {
  return (error) => {
    out.data({ event: 'failed', error });
    out.note(`error[${error.code}]: ${error.message}`);
  };
}

function upstreamsOf(
  { providers, limits }: MeterConfig,
  { io }: Run<Options>,
  pathOf: (file: string) => string,
): ReadonlyMap<string, Upstream> {
  return new Map(
    Object.entries(providers).map(([name, provider]) => {
      const key = keyOf(name, provider, io.env, pathOf);
      const upstream = new Upstream({
        url: provider.url,
        key: key === undefined ? undefined : wireOf(provider.wire).key(key),
        isKeyOfCaller: provider.key === 'caller',
        socketsMax: limits.callsMax,
        silenceMs: limits.silence,
      });
      return [name, upstream];
    }),
  );
}

function chargedLine(
  { at, session, task, provider, model, tokens, counted, ...rest }: CostRecord,
  now: number,
): string {
  const { price, amountMicros, outcome } = rest;
  const who = cut([session ?? '–', ...(task === null ? [] : [task])].join(' '), 60);
  const used = `${count(tokens.input + tokens.cachedInput + tokens.cacheWrite + tokens.cacheWriteLong)} in, ${count(tokens.output)} out`;
  const cost = price === null || amountMicros === null ? 'no price' : money(amountMicros, price.currency);
  const remarks = [
    ...(counted === 'estimated' ? ['estimated'] : []),
    ...(outcome === 'complete' ? [] : [outcome]),
  ];
  return [clock(at, now), who, cut(`${provider}/${model}`, 60), used, cost, ...remarks].join('  ');
}

function readConfig(file: string, cwd: string): MeterConfig {
  let text: string;
  try {
    text = readFileSync(resolve(cwd, file), 'utf8');
  } catch (cause) {
    throw new FabricError(cliErrors.file_unreadable, `${file} cannot be read`, { details: { file }, cause });
  }
  return readMeter(file, text);
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((done) => {
    if (signal.aborted) done();
    else signal.addEventListener('abort', () => done(), { once: true });
  });
}
