/** Names of bodies that are too big for the log: what they hold, so that the same body is stored once. */
import { sha256 } from '#runtime/bus/codec';

export function bodyName(hash: string): string {
  return `body/${hash}`;
}

export function bodyHash(body: Uint8Array): string {
  return Buffer.from(sha256(body)).toString('hex');
}
