/**
 * Who may use the meter: whoever has one of its tokens.
 *
 * K1  Tokens are compared by their hashes, in constant time, all of them whichever matches.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { FabricError } from '#schemas/fabric-error';
import { costErrors } from '../errors.ts';
import { isHeaderText, TOKEN_HEADER } from './headers.ts';
import type { Caller } from './route.ts';

/** Long enough that nobody guesses it. */
const TOKEN = /^[\x21-\x7e]{16,512}$/;
const TOKEN_CHARS_MAX = 512;

export interface KnownCaller extends Caller {
  readonly token: string;
}

export class Callers {
  readonly #known: readonly (readonly [hash: Buffer, caller: Caller])[];

  /** Throws `meter_token_bad`. */
  constructor(callers: readonly KnownCaller[]) {
    if (callers.some(({ token }) => !TOKEN.test(token)))
      throw new FabricError(costErrors.meter_token_bad, 'A token of the meter is too short, or is none');
    this.#known = callers.map(({ token, ...caller }) => [hashOf(token), caller]);
  }

  /** Undefined for nobody. A token stands in `if-token`, or where the SDKs of the providers put their key. */
  of(headers: IncomingHttpHeaders): Caller | undefined {
    const given = tokenIn(headers);
    if (given === undefined || given.length > TOKEN_CHARS_MAX) return undefined;
    const hash = hashOf(given);
    let found: Caller | undefined;
    // K1.
    for (const [known, caller] of this.#known) if (timingSafeEqual(known, hash)) found = caller;
    return found;
  }
}

function tokenIn(headers: IncomingHttpHeaders): string | undefined {
  const own = headers[TOKEN_HEADER];
  if (own !== undefined) return isHeaderText(own) ? own : undefined;
  const bearer = /^Bearer (\S+)$/i.exec(headers.authorization ?? '')?.[1];
  const key = headers['x-api-key'];
  return bearer ?? (isHeaderText(key) ? key : undefined);
}

function hashOf(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
