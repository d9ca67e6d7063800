/**
 * What the process of the gate says, or a {@link FrameError}: nothing here trusts a byte of it (Q1).
 */
import { hash } from 'node:crypto';
import { z } from 'zod';
import { gateErrors } from '#runtime/sandbox/gate/errors';
import type { GatedComponent } from '#runtime/sandbox/gate/types';
import { FabricError } from '#schemas/fabric-error';
import { FRAME, type Frame, FrameError, fromNumber, fromText } from './child/frames.ts';

const NAMES_MAX = 10_000;
const count = z.int().min(0);
const names = z.array(z.string().max(1_000)).max(NAMES_MAX);
const aboutSchema = z.strictObject({
  imports: names,
  exports: names,
  stats: z.strictObject({
    bytes: count,
    functions: count,
    instructions: count,
    checks: count,
    gatedBytes: count,
  }),
});
const placeSchema = z.strictObject({ offset: count.optional(), module: z.string().max(1_000).optional() });
const CORE_NAME = /^[\w.-]{1,100}\.wasm$/;

/** `component` is what it was given: what it says of itself is not asked for. Throws {@link FrameError}. */
export function readGated({ kind, fields }: Frame, component: Uint8Array): GatedComponent | FabricError {
  if (kind === FRAME.gated) return gated(fields, component);
  if (kind === FRAME.refused) return refused(fields);
  throw new FrameError(`a message of kind ${kind}`);
}

function gated([glue, about, ...rest]: readonly Uint8Array[], component: Uint8Array): GatedComponent {
  const cores = [];
  for (let at = 0; at < rest.length; at += 3) {
    const [name, bytes, pages] = rest.slice(at, at + 3);
    if (!CORE_NAME.test(fromText(name)) || bytes === undefined)
      throw new FrameError('a core module of no name');
    cores.push({ name: fromText(name), bytes: new Uint8Array(bytes), memoryPages: fromNumber(pages) });
  }
  return {
    sha256: hash('sha256', component),
    glue: fromText(glue),
    cores,
    ...checked(aboutSchema, fromText(about)),
  };
}

function refused([code, message, place]: readonly Uint8Array[]): FabricError {
  const name = fromText(code);
  const kind = Object.values(gateErrors).find((each) => each.code === name);
  if (kind === undefined) throw new FrameError('a refusal that is not known');
  const { offset, module } = checked(placeSchema, fromText(place));
  return new FabricError(kind, fromText(message), {
    details: { ...(offset !== undefined && { offset }), ...(module !== undefined && { module }) },
  });
}

function checked<T>(schema: z.ZodType<T>, json: string): T {
  try {
    return schema.parse(JSON.parse(json));
  } catch {
    throw new FrameError('data that is not as agreed');
  }
}
