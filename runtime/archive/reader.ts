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

/** Archive and stream: no gap, no overlap. The stream is asked for what it has. */
export class WholeLog implements LogReader {
  readonly #archive: LogReader;
  readonly #stream: LogReader;

  constructor(archive: LogReader, stream: LogReader) {
    this.#archive = archive;
    this.#stream = stream;
  }

  async range(): Promise<LogRange> {
    const [archive, stream] = await Promise.all([this.#archive.range(), this.#stream.range()]);
    return { first: Math.min(archive.first, stream.first), last: Math.max(archive.last, stream.last) };
  }

  async *read(from: number, through: number, signal?: AbortSignal): AsyncGenerator<readonly LogMessage[]> {
    const { first } = await this.#stream.range();
    if (from < first) yield* this.#archive.read(from, Math.min(through, first - 1), signal);
    if (through >= first) yield* this.#stream.read(Math.max(from, first), through, signal);
  }

  async *follow(from: number, signal: AbortSignal): AsyncGenerator<readonly LogMessage[]> {
    const { first } = await this.#stream.range();
    if (from < first) yield* this.#archive.read(from, first - 1, signal);
    yield* this.#stream.follow(Math.max(from, first), signal);
  }

  async get(seq: number): Promise<LogMessage | undefined> {
    return (await this.#stream.get(seq)) ?? (await this.#archive.get(seq));
  }
}
