/**
 * What a frame from a jail says, or a {@link FrameError}: nothing here trusts a byte of it.
 *
 * Q1  A message has the fields of its kind, no more and no less, each of its type; names are from closed lists.
 */
import { isHeaders, LEVELS } from '../world/world.ts';
import { FRAME, type Frame, FrameError, fromNumber, fromText } from './child/frames.ts';
import { OUTCOMES } from './child/outcome.ts';
import type { HostCall, LogLine } from './types.ts';

export type GuestMessage =
  | { readonly kind: 'loaded' }
  | { readonly kind: 'log'; readonly line: LogLine; readonly bytes: number }
  | { readonly kind: 'call'; readonly call: HostCall }
  | (Used & { readonly kind: 'done'; readonly output: Uint8Array })
  | (Used & {
      readonly kind: 'failed';
      readonly code: (typeof OUTCOMES)[number];
      readonly message: string;
      readonly stack: string;
    });

export interface Used {
  readonly fuel: number;
  readonly memoryBytes: number;
}

/** Throws {@link FrameError}. */
export function readMessage({ kind, fields }: Frame): GuestMessage {
  switch (kind) {
    case FRAME.loaded:
      count(fields, 0);
      return { kind: 'loaded' };
    case FRAME.log: {
      const [level, text] = count(fields, 2);
      const line = { level: oneOf(LEVELS, level), text: fromText(text) };
      return { kind: 'log', line, bytes: text?.byteLength ?? 0 };
    }
    case FRAME.call:
      return { kind: 'call', call: readCall(fields) };
    case FRAME.done: {
      const [output, fuel, memory] = count(fields, 3);
      return { kind: 'done', output: bytes(output), ...used(fuel, memory) };
    }
    case FRAME.failed: {
      const [code, message, stack, fuel, memory] = count(fields, 5);
      return {
        kind: 'failed',
        code: oneOf(OUTCOMES, code),
        message: fromText(message),
        stack: fromText(stack),
        ...used(fuel, memory),
      };
    }
    default:
      throw new FrameError(`a message of kind ${kind}`);
  }
}

const CALLS = ['emit', 'kv-get', 'kv-put', 'ask', 'http'] as const satisfies readonly HostCall['kind'][];

function readCall([name, ...args]: readonly Uint8Array[]): HostCall {
  const kind = oneOf(CALLS, name);
  switch (kind) {
    case 'emit': {
      const [event, body] = count(args, 2);
      return { kind, name: fromText(event), body: fromText(body) };
    }
    case 'kv-get':
      return { kind, key: fromText(count(args, 1)[0]) };
    case 'kv-put': {
      const [key, value] = count(args, 2);
      return { kind, key: fromText(key), value: bytes(value) };
    }
    case 'ask': {
      const [to, event] = count(args, 2);
      return { kind, to: fromText(to), event: fromText(event) };
    }
    case 'http': {
      const [method, url, headers, body] = count(args, 4);
      return {
        kind,
        method: fromText(method),
        url: fromText(url),
        headers: headerPairs(fromText(headers)),
        body: bytes(body),
      };
    }
  }
}

function headerPairs(headers: string): [name: string, value: string][] {
  if (!isHeaders(headers)) throw new FrameError('headers that are none');
  if (headers === '') return [];
  return headers.split('\n').map((line) => {
    const colon = line.indexOf(':');
    return [line.slice(0, colon), line.slice(colon + 1).trim()];
  });
}

function count(fields: readonly Uint8Array[], wanted: number): readonly Uint8Array[] {
  if (fields.length !== wanted) throw new FrameError(`${fields.length} fields in place of ${wanted}`);
  return fields;
}

function oneOf<const T extends string>(known: readonly T[], field: Uint8Array | undefined): T {
  const name = fromText(field);
  const found = known.find((each) => each === name);
  if (found === undefined) throw new FrameError('a name that is not known');
  return found;
}

/** A copy: the field is a view of everything that came with it. */
function bytes(field: Uint8Array | undefined): Uint8Array {
  if (field === undefined) throw new FrameError('a field is missing');
  return new Uint8Array(field);
}

function used(fuel: Uint8Array | undefined, memory: Uint8Array | undefined): Used {
  return { fuel: fromNumber(fuel), memoryBytes: fromNumber(memory) };
}
