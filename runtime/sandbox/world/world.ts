/**
 * The world of a guest as generated code wants it: an object per interface of task.wit, by its name without a version.
 * What needs a grant goes out through the port; the rest is data of the run.
 *
 * W1  A refusal is thrown as a string, which generated code passes on as the result's error.
 * W2  The same seed, time and answers give the same world.
 */
import { noWasi } from './no-wasi.ts';
import { seededRandom } from './random.ts';

export const LEVELS = ['debug', 'info', 'warn', 'error'] as const;
export type Level = (typeof LEVELS)[number];

/** What leaves the jail. `call` waits for the answer and throws a refusal (W1). */
export interface WorldPort {
  log(level: Level, text: string): void;
  call(kind: string, fields: readonly (string | Uint8Array)[]): readonly Uint8Array[];
}

export interface WorldRun {
  readonly seed: bigint;
  /** In ms since 1970. */
  readonly now: number;
}

const decoder = new TextDecoder();
const empty = new Uint8Array(0);

export function worldOf(run: WorldRun, port: WorldPort): Record<string, Record<string, unknown>> {
  const random = seededRandom(run.seed);
  return {
    ...noWasi({
      random,
      now: run.now,
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
