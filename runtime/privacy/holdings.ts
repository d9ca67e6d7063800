/** What the log holds of a subject: every entry in which a value is sealed for it. */
import { decodeCommit } from '#runtime/bus/codec';
import type { LogReader } from '#runtime/witness/log-reader';
import { SEALED, sealedIn } from '#schemas/sealed';

/** An entry that holds data of a subject. */
export interface Holding {
  readonly actor: string;
  readonly shard: number;
  /** Index of the commit in its shard. */
  readonly index: number;
  /** Number of the entry in its commit. */
  readonly n: number;
  /** ms since the epoch. */
  readonly at: number;
  /** Fields as they came, JSON Pointers; each once. */
  readonly fields: readonly string[];
}

/**
 * Reads the whole log. `seen` hears how many messages of how many were read. What cannot be decoded holds nothing that
 * could be told. Ends early where `signal` aborts.
 */
export async function* holdingsOf(
  subject: string,
  log: LogReader,
  seen: (read: number, total: number) => void,
  signal?: AbortSignal,
): AsyncGenerator<Holding, void, undefined> {
  const { first, last } = await log.range();
  let read = 0;
  for await (const messages of log.read(first, last, signal)) {
    for (const { bytes } of messages) yield* holdingsIn(subject, bytes);
    read += messages.length;
    seen(read, last - first + 1);
  }
}

function* holdingsIn(subject: string, bytes: Uint8Array): Generator<Holding, void, undefined> {
  // Decoding costs a hundred times as much as this.
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (!text.includes(SEALED) || !text.includes(subject)) return;
  const { shard, index, at, entries, mail = [], effects = [], timers = [] } = decodeCommit(bytes);
  const fieldsOf = (value: unknown): string[] => {
    const fields = new Set<string>();
    for (const { [SEALED]: sealed } of sealedIn(value))
      if (sealed.subject === subject) fields.add(sealed.path);
    return [...fields];
  };
  for (const [n, entry] of entries.entries()) {
    // What an entry made stands beside the entries: it counts with those of its actor.
    const made = [...mail, ...effects, ...timers].filter(
      (item) => ('from' in item ? item.from : 'actor' in item ? item.actor : undefined) === entry.actor,
    );
    const fields = fieldsOf([entry, made]);
    if (fields.length > 0) yield { actor: entry.actor, shard, index, n, at, fields };
  }
}
