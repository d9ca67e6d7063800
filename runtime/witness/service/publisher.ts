/**
 * The checkpoints that are published: the newest, and the newest of those with the most cosignatures.
 *
 * Only what the builder signed comes here (builder.ts, W1). A builder that is late replaces nothing of the one that is
 * ahead of it, so the newest checkpoint never gets older.
 */
import type { Logger } from '#runtime/shard/ports';
import { FabricError } from '#schemas/fabric-error';
import { CosignerClient, type CosignerOptions } from './cosigners.ts';
import { witnessServiceErrors } from './errors.ts';
import type { PublishedTree } from './published-tree.ts';
import type { PublishedNote, Versioned, WitnessStore } from './state-store.ts';

/** Cosigners answer for different checkpoints where one is slow: of these the one with the most signatures counts. */
const RECENT_MAX = 16;
const SWAP_ATTEMPTS_MAX = 5;

interface Recent {
  readonly size: number;
  readonly note: string;
  /** Signature lines by cosigner. */
  readonly lines: Map<string, string>;
}

export interface PublisherOptions {
  readonly store: WitnessStore;
  readonly cosigners: readonly Pick<CosignerOptions, 'url' | 'name' | 'accept'>[];
  readonly logger: Logger;
}

export class Publisher {
  readonly #options: PublisherOptions;
  readonly #cosigners: readonly CosignerClient[];
  readonly #recent: Recent[] = [];
  #newest: Versioned<PublishedNote | undefined>;
  #cosigned: Versioned<PublishedNote | undefined>;
  #cosignatures = 0;
  /** One write at a time. */
  #writing: Promise<void> = Promise.resolve();

  private constructor(
    options: PublisherOptions,
    newest: Versioned<PublishedNote | undefined>,
    cosigned: Versioned<PublishedNote | undefined>,
  ) {
    this.#options = options;
    this.#newest = newest;
    this.#cosigned = cosigned;
    this.#cosigners = options.cosigners.map(
      (cosigner) =>
        new CosignerClient({
          ...cosigner,
          cosigned: ({ size }, line) => this.#add(size, cosigner.name, line),
          logger: options.logger,
        }),
    );
  }

  static async open(options: PublisherOptions): Promise<Publisher> {
    const { store } = options;
    return new Publisher(options, await store.note(), await store.cosigned());
  }

  /** The newest checkpoint, as a signed note. */
  get checkpoint(): string | undefined {
    return this.#newest.value?.note;
  }

  /** The newest of those with the most cosignatures. */
  get cosigned(): string | undefined {
    return this.#cosigned.value?.note;
  }

  /** Cosignatures it has. */
  get cosignatures(): number {
    return this.#cosignatures;
  }

  /** Publishes a checkpoint and asks the cosigners for it, which it does not wait for. */
  async publish(tree: PublishedTree, note: string): Promise<void> {
    const { size } = tree;
    this.#recent.push({ size, note, lines: new Map() });
    if (this.#recent.length > RECENT_MAX) this.#recent.shift();
    await this.#write();
    const proofFrom = (oldSize: number): Promise<readonly string[]> => tree.proofLines(oldSize, size);
    for (const cosigner of this.#cosigners) cosigner.submit({ size, note, proofFrom });
  }

  async close(): Promise<void> {
    await Promise.all(this.#cosigners.map((cosigner) => cosigner.close()));
    await this.#writing;
  }

  async #add(size: number, cosigner: string, line: string): Promise<void> {
    this.#recent.find((recent) => recent.size === size)?.lines.set(cosigner, line);
    await this.#write();
  }

  async #write(): Promise<void> {
    const work = this.#writing.then(() => this.#writeNow());
    this.#writing = work.catch(() => undefined);
    await work;
  }

  async #writeNow(): Promise<void> {
    const { store } = this.#options;
    const newest = this.#recent.at(-1);
    if (newest === undefined) return;
    this.#newest = await advance(noteOf(newest), newest.size, this.#newest, store.note, store.swapNote);
    const best = this.#recent.reduce((a, b) => (b.lines.size >= a.lines.size ? b : a));
    if (best.lines.size === 0) return;
    this.#cosigned = await advance(
      noteOf(best),
      newest.size,
      this.#cosigned,
      store.cosigned,
      store.swapCosigned,
    );
    this.#cosignatures = best.lines.size;
  }
}

function noteOf({ size, note, lines }: Recent): PublishedNote {
  return { size, note: note + [...lines.values()].join('') };
}

/** Swaps in a note, unless the stored one is of a tree larger than `sizeMax`, the largest of this builder. */
async function advance(
  note: PublishedNote,
  sizeMax: number,
  known: Versioned<PublishedNote | undefined>,
  read: () => Promise<Versioned<PublishedNote | undefined>>,
  swap: (note: PublishedNote, revision: number) => Promise<number | undefined>,
): Promise<Versioned<PublishedNote | undefined>> {
  let stored = known;
  for (let attempt = 0; attempt < SWAP_ATTEMPTS_MAX; attempt += 1) {
    if (stored.value !== undefined && (stored.value.size > sizeMax || stored.value.note === note.note))
      return stored;
    const revision = await swap(note, stored.revision);
    if (revision !== undefined) return { value: note, revision };
    stored = await read();
  }
  throw new FabricError(
    witnessServiceErrors.witness_moved,
    'Another node publishes checkpoints at the same time',
  );
}
