/** A log in memory, as a reader sees it. */
import { encodeCommit, sha256 } from '#runtime/bus/codec';
import type { LogMessage, LogReader } from '#runtime/witness/log-reader';
import type { Entry } from '#schemas/commit';

const BATCH = 64;

export interface Written {
  readonly shard: number;
  readonly at: number;
  readonly entries: readonly Entry[];
}

export class MemoryLog implements LogReader {
  readonly messages: LogMessage[] = [];
  readonly #heads = new Map<number, { index: number; prev: Uint8Array }>();
  first = 1;
  readonly #waiting = new Set<() => void>();

  append({ shard, at, entries }: Written): void {
    const { index, prev } = this.#heads.get(shard) ?? { index: 0, prev: new Uint8Array(32) };
    const bytes = encodeCommit({
      format: 1,
      shard,
      index,
      prev,
      at,
      epoch: 1,
      consumed: 0,
      acted: -1,
      entries,
    });
    this.appendBytes(shard, at, bytes);
    this.#heads.set(shard, { index: index + 1, prev: sha256(bytes) });
  }

  appendBytes(shard: number, storedAt: number, bytes: Uint8Array): void {
    this.messages.push({ seq: this.messages.length + 1, shard, bytes, storedAt });
    for (const wake of this.#waiting) wake();
    this.#waiting.clear();
  }

  async range(): Promise<{ first: number; last: number }> {
    return { first: this.first, last: this.messages.length };
  }

  async *read(from: number, through: number, signal?: AbortSignal): AsyncGenerator<readonly LogMessage[]> {
    const end = Math.min(through, this.messages.length);
    for (let at = Math.max(from, this.first); at <= end && signal?.aborted !== true; at += BATCH) {
      yield this.messages.slice(at - 1, Math.min(at - 1 + BATCH, end));
    }
  }

  async *follow(from: number, signal: AbortSignal): AsyncGenerator<readonly LogMessage[]> {
    for (let next = from; !signal.aborted; ) {
      if (next <= this.messages.length) {
        yield this.messages.slice(next - 1);
        next = this.messages.length + 1;
      } else {
        await new Promise<void>((wake) => {
          this.#waiting.add(wake);
          signal.addEventListener('abort', () => wake(), { once: true });
        });
      }
    }
  }

  async get(seq: number): Promise<LogMessage | undefined> {
    return seq < this.first ? undefined : this.messages[seq - 1];
  }
}
