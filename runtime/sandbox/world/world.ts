/**
 * The world of a guest as generated code wants it: an object per interface of task.wit, by its name without a version.
 * What needs a grant goes out through the port; the rest is data of the run.
 *
 * W1  A refusal is thrown as a string, which generated code passes on as the result's error.
 * W2  The same seed, time and answers give the same world.
 * W3  What the world does for a guest is paid from the guest's fuel, by size: it would be work for nothing otherwise.
 */
import { noWasi } from './no-wasi.ts';
import { type Random, seededRandom } from './random.ts';

export const LEVELS = ['debug', 'info', 'warn', 'error'] as const;
export type Level = (typeof LEVELS)[number];

/** What leaves the jail. `call` waits for the answer and throws a refusal (W1). */
export interface WorldPort {
  log(level: Level, text: string): void;
  call(kind: string, fields: readonly (string | Uint8Array)[]): readonly Uint8Array[];
}

/** Takes fuel; throws where none is left (W3). */
export type Pay = (units: number) => void;

export interface WorldRun {
  readonly seed: bigint;
  /** In ms since 1970. */
  readonly now: number;
}

const decoder = new TextDecoder();
const empty = new Uint8Array(0);
/** What leaves the jail is a system call or two. */
const LEAVE_FUEL = 500;
/** Bytes that count as one instruction when they are copied: 2³, as in memory. */
const BYTES_PER_UNIT_LOG2 = 3;
/** Of eight random bytes. */
const RANDOM_FUEL = 32;

export function worldOf(run: WorldRun, open: WorldPort, pay: Pay): Record<string, Record<string, unknown>> {
  const random = paidRandom(seededRandom(run.seed), pay);
  const port = paidPort(open, pay);
  return {
    ...noWasi({
      random,
      now: run.now,
      pay,
      write: (stream, bytes) => port.log(stream === 'stdout' ? 'info' : 'warn', decoder.decode(bytes)),
    }),
    'infrafabric:task/log': { write: (level: Level, text: string) => port.log(level, text) },
    'infrafabric:task/events': {
      emit: (name: string, body: string) => void port.call('emit', [name, body]),
    },
    'infrafabric:task/kv': {
      get: (key: string) => {
        const [value] = port.call('kv-get', [key]);
        if (value === undefined) throw `kv_absent: there is no ${key}`;
        return value;
      },
      put: (key: string, value: Uint8Array) => void port.call('kv-put', [key, value]),
    },
    'infrafabric:task/actors': {
      ask: (actor: string, event: string) => text(port.call('ask', [actor, event])[0]),
    },
    'infrafabric:task/http': {
      request: (method: string, url: string, headers: string, body: Uint8Array) => {
        if (!isHeaders(headers)) throw 'http_bad_headers: headers are lines of `name: value`';
        const [status, answered, content] = port.call('http', [method, url, headers, body]);
        return { status: Number(text(status)), headers: text(answered), body: content ?? empty };
      },
    },
    'infrafabric:task/random': { bytes: (count: number) => random.bytes(count), word: () => random.word() },
    'infrafabric:task/clock': { now: () => BigInt(run.now) },
  };
}

/** W3. */
function paidPort({ log, call }: WorldPort, pay: Pay): WorldPort {
  const payFor = (fields: readonly (string | Uint8Array)[]): void => {
    const size = fields.reduce((sum, { length }) => sum + length, 0);
    pay(LEAVE_FUEL + (size >> BYTES_PER_UNIT_LOG2));
  };
  return {
    log: (level, line) => {
      payFor([line]);
      log(level, line);
    },
    call: (kind, fields) => {
      payFor(fields);
      return call(kind, fields);
    },
  };
}

/** W3. */
function paidRandom({ word, bytes }: Random, pay: Pay): Random {
  return {
    word: () => {
      pay(RANDOM_FUEL);
      return word();
    },
    bytes: (count) => {
      pay(RANDOM_FUEL * Math.ceil(count / 8));
      return bytes(count);
    },
  };
}

const HEADER_LINE = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\0\r]*$/;
const HEADERS_MAX = 64;

/** Lines of `name: value`, an empty text for none. */
export function isHeaders(headers: string): boolean {
  if (headers === '') return true;
  const lines = headers.split('\n');
  return lines.length <= HEADERS_MAX && lines.every((line) => HEADER_LINE.test(line));
}

function text(field: Uint8Array | undefined): string {
  return decoder.decode(field ?? empty);
}
