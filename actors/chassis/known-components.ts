/** Components that passed the gate, by digest: those used last, and each let in once however many wait for it. */
import type { GatedComponent } from '#runtime/sandbox/gate/types';

/** A guest with an engine for a scripting language has some MiB. */
const KNOWN_MAX = 32;

export class KnownComponents {
  readonly #load: (sha256: string) => Promise<GatedComponent>;
  /** In the order of their last use. */
  readonly #known = new Map<string, Promise<GatedComponent>>();

  constructor(load: (sha256: string) => Promise<GatedComponent>) {
    this.#load = load;
  }

  /** What failed is not kept: the object store may have been unreachable. */
  async get(sha256: string): Promise<GatedComponent> {
    const found = this.#known.get(sha256) ?? this.#load(sha256);
    this.#known.delete(sha256);
    this.#known.set(sha256, found);
    const [oldest] = this.#known.keys();
    if (this.#known.size > KNOWN_MAX && oldest !== undefined) this.#known.delete(oldest);
    try {
      return await found;
    } catch (thrown) {
      if (this.#known.get(sha256) === found) this.#known.delete(sha256);
      throw thrown;
    }
  }
}
