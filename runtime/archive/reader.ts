/** The log as one, from the archive where the stream no longer has it, and from the stream from there on. */
import type { LogMessage, LogRange, LogReader } from '#runtime/witness/log-reader';
import { FabricError } from '#schemas/fabric-error';
import { archiveErrors } from './errors.ts';
import { type ArchiveManifest, readManifest, type Segment, throughOf } from './manifest.ts';
import { readSegment } from './segment.ts';
import type { ArchiveStore } from './store.ts';

/** Segments kept unpacked: neighbours are mostly asked for together. */
const KEPT_MAX = 2;

/** Throws `archive_missing` where there is no archive, `archive_damaged`. */
export async function openArchive(store: ArchiveStore): Promise<ArchiveReader> {
  const manifest = await readManifest(store);
  if (manifest === undefined) {
    throw new FabricError(archiveErrors.archive_missing, `There is no archive in ${store.place}`, {
      details: { place: store.place },
    });
  }
  return new ArchiveReader(store, manifest);
}

/** What an archive holds, by itself: no realm, no server. */
export class ArchiveReader implements LogReader {
  readonly manifest: ArchiveManifest;
  readonly #store: ArchiveStore;
  readonly #kept = new Map<string, Promise<readonly LogMessage[]>>();

  constructor(store: ArchiveStore, manifest: ArchiveManifest) {
    this.#store = store;
    this.manifest = manifest;
  }

  async range(): Promise<LogRange> {
    return { first: 1, last: throughOf(this.manifest) };
  }

  async *read(from: number, through: number, signal?: AbortSignal): AsyncGenerator<readonly LogMessage[]> {
    for (const segment of this.manifest.segments) {
      if (segment.through < from || segment.from > through || signal?.aborted === true) continue;
      const messages = await this.#messages(segment);
      yield messages.filter(({ seq }) => seq >= from && seq <= through);
    }
  }

  /** An archive grows only when somebody archives: what is there is all that comes. */
  follow(from: number, signal: AbortSignal): AsyncGenerator<readonly LogMessage[]> {
    return this.read(from, throughOf(this.manifest), signal);
  }

  async get(seq: number): Promise<LogMessage | undefined> {
    const segment = this.manifest.segments.find((one) => seq >= one.from && seq <= one.through);
    return segment === undefined ? undefined : (await this.#messages(segment))[seq - segment.from];
  }

  #messages(segment: Segment): Promise<readonly LogMessage[]> {
    let messages = this.#kept.get(segment.name);
    if (messages === undefined) {
      messages = readSegment(this.#store, segment).then((bundle) => bundle.messages);
      messages.catch(() => this.#kept.delete(segment.name));
      this.#kept.set(segment.name, messages);
      for (const oldest of this.#kept.keys()) {
        if (this.#kept.size <= KEPT_MAX) break;
        this.#kept.delete(oldest);
      }
    }
    return messages;
  }
}

/**
 * Archive and stream: no gap, no overlap. Each sequence comes from the stream where that has it, and from the archive
 * where it has not, also where it was dropped while this reads. What neither has shows as a gap.
 */
export class WholeLog implements LogReader {
  readonly #open: () => Promise<LogReader | undefined>;
  readonly #stream: LogReader;
  #archive: Promise<LogReader | undefined> | undefined;

  /** `open` gives the archive as it is now; it is called when something is asked for that is not in the stream. */
  constructor(open: () => Promise<LogReader | undefined>, stream: LogReader) {
    this.#open = open;
    this.#stream = stream;
  }

  async range(): Promise<LogRange> {
    const { first, last } = await this.#stream.range();
    const archive = first === 1 ? undefined : await this.#archiveWith(first - 1);
    return { first: archive === undefined ? first : Math.min(first, (await archive.range()).first), last };
  }

  async *read(from: number, through: number, signal?: AbortSignal): AsyncGenerator<readonly LogMessage[]> {
    const { first, last } = await this.#stream.range();
    const end = Math.min(through, last);
    yield* this.#archived(from, Math.min(end, first - 1), signal);
    const rest = Math.max(from, first);
    if (rest <= end) yield* this.#filled(rest, end, this.#stream.read(rest, end, signal), signal);
  }

  async *follow(from: number, signal: AbortSignal): AsyncGenerator<readonly LogMessage[]> {
    const { first } = await this.#stream.range();
    yield* this.#archived(from, first - 1, signal);
    const rest = Math.max(from, first);
    yield* this.#filled(rest, rest - 1, this.#stream.follow(rest, signal), signal);
  }

  async get(seq: number): Promise<LogMessage | undefined> {
    return (await this.#stream.get(seq)) ?? (await (await this.#archiveWith(seq))?.get(seq));
  }

  /** Puts what was dropped since its reading began in its place; `end` is the sequence that has to be there. */
  async *#filled(
    from: number,
    end: number,
    batches: AsyncIterable<readonly LogMessage[]>,
    signal?: AbortSignal,
  ): AsyncGenerator<readonly LogMessage[]> {
    let due = from;
    for await (const batch of batches) {
      for (const run of runsOf(batch)) {
        const [first] = run;
        if (first === undefined) continue;
        if (first.seq > due) yield* this.#dropped(due, first.seq - 1, signal);
        yield run;
        due = first.seq + run.length;
      }
    }
    if (due <= end) yield* this.#dropped(due, end, signal);
  }

  /** Of a gap, what lies before the stream: anything behind its beginning was removed by other hands. */
  async *#dropped(from: number, through: number, signal?: AbortSignal) {
    const { first } = await this.#stream.range();
    yield* this.#archived(from, Math.min(through, first - 1), signal);
  }

  async *#archived(from: number, through: number, signal?: AbortSignal) {
    if (from > through || signal?.aborted === true) return;
    const archive = await this.#archiveWith(through);
    if (archive === undefined) return;
    for await (const batch of archive.read(from, through, signal)) if (batch.length > 0) yield batch;
  }

  async #archiveWith(seq: number): Promise<LogReader | undefined> {
    const opened = await this.#archive;
    if (opened !== undefined && (await opened.range()).last >= seq) return opened;
    const opening = this.#open();
    this.#archive = opening;
    // A failure is told to who asked, and not kept.
    opening.catch(() => {
      if (this.#archive === opening) this.#archive = undefined;
    });
    return await opening;
  }
}

/** The parts of a batch that have no gap. */
function* runsOf(batch: readonly LogMessage[]): Generator<readonly LogMessage[]> {
  let from = 0;
  for (let at = 1; at <= batch.length; at += 1) {
    const before = batch[at - 1];
    if (at < batch.length && before !== undefined && batch[at]?.seq === before.seq + 1) continue;
    yield batch.slice(from, at);
    from = at;
  }
}
