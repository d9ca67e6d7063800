/**
 * Drivers and personal data. An effect's input holds sealed values like everything else in the log; they are opened
 * when an attempt begins, in memory only, and what comes back is sealed before it is delivered.
 *
 * F1  The plaintext reaches the driver and nothing else: not the log, not an error, not a retry's record.
 * F2  Of what comes back, marked fields are sealed; so is every text that holds a value which was opened for it, and every
 *     object with such a text for a name, whole.
 * F3  Of a redacted subject nothing is opened: the effect fails for good with `subject_redacted`.
 */
import type { Driver, EffectCall } from '#runtime/effects/driver';
import { effectErrors } from '#runtime/effects/errors';
import { FabricError } from '#schemas/fabric-error';
import { isSealed, replaceSealed, SEALED, type Sealed, sealedIn } from '#schemas/sealed';
import type { DataKeys, Known } from './data-keys.ts';
import { privacyErrors } from './errors.ts';
import type { Marks } from './marks.ts';
import { mapAt, parsePointer, pointerText } from './pointer.ts';
import { type DataKey, open, seal } from './seal.ts';
import { hasMarkedOutput, sealOutput, subjectOf } from './sealing.ts';

/** Shorter texts are found in everything: whoever gets those back marks their place. */
const ECHO_CHARS_MIN = 4;
const MASK = '«sealed»';

export interface EffectDeps {
  readonly realm: string;
  readonly marksOf: (type: string) => Marks | undefined;
  /** Opened on the first need. */
  readonly keys: () => Promise<DataKeys>;
}

/** The driver with its inputs opened and its outputs sealed. */
export function privateDriver(driver: Driver, deps: EffectDeps): Driver {
  const { name, retry, timeoutMs, concurrencyMax, waits } = driver;
  return {
    name,
    ...(retry !== undefined && { retry }),
    ...(timeoutMs !== undefined && { timeoutMs }),
    ...(concurrencyMax !== undefined && { concurrencyMax }),
    ...(waits !== undefined && { waits }),
    run: async (call) => {
      const sealed = [...sealedIn(call.input)];
      const marks = deps.marksOf(call.actor.slice(0, call.actor.indexOf('/')));
      if (sealed.length === 0 && marks === undefined) {
        check(driver, call);
        return driver.run(call);
      }
      const opened = new Map<Sealed, unknown>();
      for (const value of sealed) opened.set(value, await opening(value, deps));
      const input = replaceSealed(call.input, (value) => opened.get(value));
      const echoes = echoesOf(opened);
      let output: unknown;
      try {
        const plain = { ...call, input };
        check(driver, plain);
        output = await driver.run(plain);
      } catch (thrown) {
        throw echoes.length === 0 ? thrown : masked(thrown, echoes);
      }
      const safe = marks === undefined ? output : await sealMarked(output, call, marks, sealed, deps);
      return echoes.length === 0 ? safe : await sealEchoes(safe, echoes, deps);
    },
  };
}

/** The driver's own check, of the opened input: the runner would show it the sealed one. */
function check(driver: Driver, { input, attempt }: EffectCall): void {
  if (attempt !== 1 || driver.validate === undefined) return;
  try {
    driver.validate(input);
  } catch (thrown) {
    if (thrown instanceof FabricError && !thrown.retryable) throw thrown;
    const message = thrown instanceof Error ? thrown.message : String(thrown);
    throw new FabricError(effectErrors.effect_bad_input, message, { cause: thrown });
  }
}

async function opening(sealed: Sealed, { keys, realm }: EffectDeps): Promise<unknown> {
  const { subject, kid } = sealed[SEALED];
  const known = await (await keys()).find(subject);
  if (known?.state !== 'active' || known.kid !== kid) throw redacted(subject); // F3
  return open(sealed, realm, known.key);
}

/** F2: marked fields. Whose they are says the rule, or else what was opened for the effect. */
async function sealMarked(
  output: unknown,
  call: EffectCall,
  marks: Marks,
  sealed: readonly Sealed[],
  { realm, keys }: EffectDeps,
): Promise<unknown> {
  if (!hasMarkedOutput(output, marks)) return output;
  const named = new Set(sealed.map((value) => value[SEALED].subject));
  const [only] = named.size === 1 ? named : [];
  const subject = subjectOf({ output }, call.actor, marks.subject) ?? only;
  if (subject === undefined) {
    throw new FabricError(
      privacyErrors.subject_missing,
      `The result of an effect of ${call.actor} holds personal data, and nothing says whose`,
    );
  }
  const key = activeOf(await (await keys()).ensure(subject), subject);
  return sealOutput(output, marks, { realm, subject, key });
}

interface Echo {
  readonly sealed: Sealed;
  /** The text, and as it stands in a URL and in JSON. */
  readonly spellings: readonly string[];
}

function echoesOf(opened: ReadonlyMap<Sealed, unknown>): Echo[] {
  const echoes: Echo[] = [];
  for (const [sealed, plain] of opened) {
    for (const text of textsIn(plain)) {
      if (text.length < ECHO_CHARS_MIN) continue;
      const spellings = new Set([text, encodeURIComponent(text), JSON.stringify(text).slice(1, -1)]);
      echoes.push({ sealed, spellings: [...spellings] });
    }
  }
  return echoes;
}

function* textsIn(value: unknown): Generator<string, void, undefined> {
  if (typeof value === 'string') yield value.toWellFormed();
  else if (typeof value === 'object' && value !== null && !ArrayBuffer.isView(value)) {
    for (const item of Object.values(value)) yield* textsIn(item);
  }
}

/** F2: every text with a value in it that was opened is sealed for the same subject; an object with one for a name, whole. */
async function sealEchoes(output: unknown, echoes: readonly Echo[], deps: EffectDeps): Promise<unknown> {
  const found = new Map<string, Sealed>();
  findEchoes(output, '', [], { echoes, known: await openable(output, deps), found });
  let safe = output;
  // From the inside out: what is sealed is not looked into again.
  for (const [path, { [SEALED]: of }] of [...found].sort(([a], [b]) => b.length - a.length)) {
    const key = activeOf(await (await deps.keys()).ensure(of.subject), of.subject);
    const at = path === '' ? [] : parsePointer(path);
    safe = mapAt(safe, [at], (value) =>
      seal(value, { realm: deps.realm, subject: of.subject, path: `/output${path}` }, key),
    );
  }
  return safe;
}

/** The sealed values in an output that open. A driver may give anything that looks like one. */
async function openable(output: unknown, { keys, realm }: EffectDeps): Promise<ReadonlySet<object>> {
  const known = new Set<object>();
  for (const sealed of sealedIn(output)) {
    const { subject, kid } = sealed[SEALED];
    const key = await (await keys()).find(subject);
    if (key?.state === 'active' && key.kid === kid && opens(sealed, realm, key)) known.add(sealed);
  }
  return known;
}

function opens(sealed: Sealed, realm: string, { key }: DataKey): boolean {
  try {
    open(sealed, realm, key);
    return true;
  } catch {
    // Its texts are judged as any others are.
    return false;
  }
}

interface Search {
  readonly echoes: readonly Echo[];
  /** Sealed values that are what they look like. */
  readonly known: ReadonlySet<object>;
  /** By its path, what is to be sealed, and for whom. */
  readonly found: Map<string, Sealed>;
}

/** `within`: the subjects that something around the value is sealed for as a whole. */
function findEchoes(value: unknown, path: string, within: readonly string[], search: Search): void {
  const { echoes, known, found } = search;
  const find = (texts: Iterable<string>): string | undefined => {
    for (const text of texts) {
      const echo = echoIn(text, echoes);
      if (echo === undefined || within.includes(echo.sealed[SEALED].subject)) continue;
      found.set(path, echo.sealed);
      return echo.sealed[SEALED].subject;
    }
    return undefined;
  };
  if (typeof value === 'string') find([value]);
  else if (value instanceof Uint8Array) find([Buffer.from(value).toString('latin1')]);
  else if (typeof value !== 'object' || value === null || known.has(value)) return;
  else if (isSealed(value)) find(textsIn(value));
  else {
    const whose = Array.isArray(value) ? undefined : find(Object.keys(value));
    const inside = whose === undefined ? within : [...within, whose];
    for (const [key, item] of Object.entries(value)) {
      findEchoes(item, path + pointerText([key]), inside, search);
    }
  }
}

function echoIn(text: string, echoes: readonly Echo[]): Echo | undefined {
  return echoes.find(({ spellings }) =>
    spellings.some(
      (spelling) => text.includes(spelling) || text.includes(Buffer.from(spelling).toString('latin1')),
    ),
  );
}

/** F1: an error with what was opened taken out of its texts; its cause, which nobody stores, goes too. */
function masked(thrown: unknown, echoes: readonly Echo[]): FabricError {
  const clean = (text: string): string =>
    echoes
      .flatMap(({ spellings }) => spellings)
      .sort((a, b) => b.length - a.length)
      .reduce((left, spelling) => left.replaceAll(spelling, MASK), text);
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  if (!(thrown instanceof FabricError)) return new FabricError(effectErrors.driver_error, clean(message));
  const { code, retryable, help, details } = thrown;
  const safe = mapTexts(details, clean) as Record<string, unknown>;
  return new FabricError({ code, retryable, help }, clean(message), { details: safe });
}

function mapTexts(value: unknown, map: (text: string) => string): unknown {
  if (typeof value === 'string') return map(value);
  if (typeof value !== 'object' || value === null) return value;
  if (ArrayBuffer.isView(value)) return MASK;
  if (Array.isArray(value)) return value.map((item) => mapTexts(item, map));
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [map(key), mapTexts(item, map)]));
}

function activeOf(known: Known, subject: string): DataKey {
  if (known.state === 'active') return known;
  throw redacted(subject);
}

function redacted(subject: string): FabricError {
  return new FabricError(privacyErrors.subject_redacted, `The data of ${subject} was redacted`, {
    details: { subject },
  });
}
