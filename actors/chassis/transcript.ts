/**
 * What the world answered to a run, in order: with it the run can be done again anywhere, and gives the same.
 *
 * N1  A call is known by its digest: an answer is given again to the very call that had it, or the run ends.
 * N2  Refusals are answers: a grant that ended in the middle of a run ends there again.
 */
import { hash } from 'node:crypto';
import { decode, encode } from '#runtime/bus/codec';
import type { HostAnswer, HostCall } from '#runtime/sandbox/jail/types';
import { FabricError } from '#schemas/fabric-error';
import { chassisErrors } from './errors.ts';

interface Exchange {
  readonly call: string;
  readonly answer: HostAnswer;
}

export class Transcript {
  readonly #exchanges: Exchange[] = [];
  #bytes = 0;

  /** Of the answers so far, about. */
  get bytes(): number {
    return this.#bytes;
  }

  get length(): number {
    return this.#exchanges.length;
  }

  add(call: HostCall, answer: HostAnswer): void {
    this.#exchanges.push({ call: digestOf(call), answer });
    this.#bytes += encode(answer).byteLength;
  }

  encode(): Uint8Array {
    return encode(this.#exchanges);
  }
}

export function digestOf(call: HostCall): string {
  return hash('sha256', encode(call));
}

/** Answers calls as they were answered (N1). Throws `sandbox_replay_differs`. */
export function answersOf(bytes: Uint8Array): (call: HostCall) => HostAnswer {
  const exchanges = decode(bytes) as readonly Exchange[];
  let next = 0;
  return (call) => {
    const exchange = exchanges[next];
    next += 1;
    if (exchange === undefined || exchange.call !== digestOf(call)) {
      throw new FabricError(
        chassisErrors.sandbox_replay_differs,
        `Call ${next} (${call.kind}) is not the one that was recorded`,
      );
    }
    return exchange.answer;
  };
}
