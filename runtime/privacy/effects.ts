/**
 * Drivers and personal data. An effect's input holds sealed values like everything else in the log; they are opened
 * when an attempt begins, in memory only, and what comes back is sealed before it is delivered.
 *
 * F1  The plaintext reaches the driver and nothing else: not the log, not an error, not a retry's record.
 * F2  Of what comes back, marked fields are sealed; so is every text that holds a value which was opened for it, and every
 *     object with such a text for a name, whole. What holds data of several subjects is sealed for each, one seal in the
 *     other: without the key of any of them it is gone.
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
import { markedOutput, subjectOf } from './sealing.ts';

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
      const opened = new Map<Sealed, Opened>();
      for (const value of sealed) opened.set(value, await opening(value, deps));
      const input = replaceSealed(call.input, (value) => opened.get(value)?.plain);
      const echoes = echoesOf(opened.values());
      let output: unknown;
      try {
        const plain = { ...call, input };
        check(driver, plain);
        output = await driver.run(plain);
      } catch (thrown) {
        throw echoes.length === 0 ? thrown : masked(thrown, echoes);
      }
      const subjects = [...opened.values()].flatMap(({ subjects: whose }) => whose);
      const marked = marks === undefined ? undefined : markedIn(output, call, marks, subjects);
      return await sealAgain(output, echoes, marked, deps);
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

interface Opened {
  readonly plain: unknown;
  /** Whose it is. */
  readonly subjects: readonly string[];
}

async function opening(sealed: Sealed, deps: EffectDeps): Promise<Opened> {
  const { subject, kid } = sealed[SEALED];
  const known = await (await deps.keys()).find(subject);
  if (known?.state !== 'active' || known.kid !== kid) throw redacted(subject); // F3
  const plain = open(sealed, deps.realm, known.key);
  // Only here is a seal put around another (F2): at the doors a sealed value is left as it is.
  if (!isSealed(plain)) return { plain, subjects: [subject] };
  const inner = await opening(plain, deps);
  return { plain: inner.plain, subjects: [subject, ...inner.subjects] };
}

interface Marked {
  readonly paths: ReadonlySet<string>;
  readonly subject: string;
}

/** F2: marked fields. Whose they are says the rule, or else what was opened for the effect. */
function markedIn(
  output: unknown,
  call: EffectCall,
  marks: Marks,
  subjects: readonly string[],
): Marked | undefined {
  const paths = markedOutput(output, marks);
  if (paths.size === 0) return undefined;
  const named = new Set(subjects);
  const [only] = named.size === 1 ? named : [];
  const subject = subjectOf({ output }, call.actor, marks.subject) ?? only;
  if (subject !== undefined) return { paths, subject };
  throw new FabricError(
    privacyErrors.subject_missing,
    `The result of an effect of ${call.actor} holds personal data, and nothing says whose`,
  );
}

interface Echo {
  readonly subjects: readonly string[];
  /** The text, and as it stands in a URL and in JSON. */
  readonly spellings: readonly string[];
}

function echoesOf(opened: Iterable<Opened>): Echo[] {
  const echoes: Echo[] = [];
  for (const { plain, subjects } of opened) {
    for (const text of textsIn(plain)) {
      if (text.length < ECHO_CHARS_MIN) continue;
      const spellings = new Set([text, encodeURIComponent(text), JSON.stringify(text).slice(1, -1)]);
      echoes.push({ subjects, spellings: [...spellings] });
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

/** F2: what is marked, and every text with a value in it that was opened; an object with one for a name, whole. */
async function sealAgain(
  output: unknown,
  echoes: readonly Echo[],
  marked: Marked | undefined,
  deps: EffectDeps,
): Promise<unknown> {
  if (echoes.length === 0 && marked === undefined) return output;
  const found = new Map<string, readonly string[]>();
  findPersonal(output, '', [], { echoes, marked, known: await openable(output, deps), found });
  let safe = output;
  // From the inside out: what is sealed is not looked into again.
  for (const [path, subjects] of [...found].sort(([a], [b]) => b.length - a.length)) {
    const at = path === '' ? [] : parsePointer(path);
    for (const subject of subjects.toReversed()) {
      const key = activeOf(await (await deps.keys()).ensure(subject), subject);
      safe = mapAt(safe, [at], (value) =>
        seal(value, { realm: deps.realm, subject, path: `/output${path}` }, key),
      );
    }
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
  readonly marked: Marked | undefined;
  /** Sealed values that are what they look like. */
  readonly known: ReadonlySet<object>;
  /** By its path, what is to be sealed, and for whom; the first is outermost, the one that a mark names. */
  readonly found: Map<string, readonly string[]>;
}

/** `within`: the subjects that something around the value is sealed for as a whole. */
function findPersonal(value: unknown, path: string, within: readonly string[], search: Search): void {
  const { echoes, marked, known, found } = search;
  const isObject = typeof value === 'object' && value !== null;
  if (isObject && known.has(value)) return;
  const whose = new Set<string>();
  if (marked?.paths.has(path) === true && !isSealed(value)) whose.add(marked.subject);
  for (const text of ownTexts(value)) {
    for (const { subjects } of echoesIn(text, echoes)) for (const subject of subjects) whose.add(subject);
  }
  const subjects = [...whose].filter((subject) => !within.includes(subject));
  if (subjects.length > 0) found.set(path, subjects);
  if (!isObject || value instanceof Uint8Array || isSealed(value)) return;
  const inside = [...within, ...subjects];
  for (const [key, item] of Object.entries(value)) {
    findPersonal(item, path + pointerText([key]), inside, search);
  }
}

/** The texts for which the value as a whole is sealed: itself, or its names. */
function ownTexts(value: unknown): Iterable<string> {
  if (typeof value === 'string') return [value];
  if (value instanceof Uint8Array) return [Buffer.from(value).toString('latin1')];
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return [];
  return isSealed(value) ? textsIn(value) : Object.keys(value);
}

function echoesIn(text: string, echoes: readonly Echo[]): Echo[] {
  return echoes.filter(({ spellings }) =>
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
