/**
 * Components that passed the gate, by digest: those used last, and each let in once however many wait for it.
 *
 * N1  They are bounded in number and in bytes; the longest unused go first.
 * N2  What the gate refused it refuses again without looking, for a minute: a component that takes all the time that the
 *     gate has would keep every other from it otherwise, a task at a time.
 */
import type { GatedComponent } from '#runtime/sandbox/gate/types';
import type { Clock } from '#runtime/shard/ports';
import { FabricError } from '#schemas/fabric-error';

/** A guest with an engine for a scripting language has some MiB. */
const KNOWN_MAX = 32;
const BYTES_MAX = 256 * 2 ** 20;
const REFUSED_MS = 60_000;
const REFUSED_MAX = 1_000;
/** Codes of what speaks against the component. */
const REFUSAL = /^component_/;

interface Known {
  readonly component: Promise<GatedComponent>;
  /** Once it is there. */
  bytes: number;
}

interface Refused {
  readonly error: FabricError;
  readonly until: number;
}

export class KnownComponents {
  readonly #load: (sha256: string) => Promise<GatedComponent>;
  readonly #clock: Pick<Clock, 'now'>;
  /** In the order of their last use. */
  readonly #known = new Map<string, Known>();
  readonly #refused = new Map<string, Refused>();

  constructor(load: (sha256: string) => Promise<GatedComponent>, clock: Pick<Clock, 'now'>) {
    this.#load = load;
    this.#clock = clock;
  }

  /** What failed otherwise is not kept: the object store may have been unreachable. */
  async get(sha256: string): Promise<GatedComponent> {
    const refused = this.#refused.get(sha256);
    if (refused !== undefined && refused.until > this.#clock.now()) throw refused.error; // N2
    const known = this.#known.get(sha256) ?? { component: this.#load(sha256), bytes: 0 };
    this.#known.delete(sha256);
    this.#known.set(sha256, known);
    try {
      const component = await known.component;
      known.bytes = component.glue.length + component.stats.gatedBytes;
      this.#bound();
      return component;
    } catch (thrown) {
      if (this.#known.get(sha256) === known) this.#known.delete(sha256);
      if (thrown instanceof FabricError && REFUSAL.test(thrown.code) && !thrown.retryable)
        this.#refuse(sha256, thrown);
      throw thrown;
    }
  }

  /** N1: what was used last stays, whatever its size. */
  #bound(): void {
    let bytes = [...this.#known.values()].reduce((sum, known) => sum + known.bytes, 0);
    for (const [sha256, known] of [...this.#known].slice(0, -1)) {
      if (this.#known.size <= KNOWN_MAX && bytes <= BYTES_MAX) return;
      this.#known.delete(sha256);
      bytes -= known.bytes;
    }
  }

  #refuse(sha256: string, error: FabricError): void {
    this.#refused.delete(sha256);
    this.#refused.set(sha256, { error, until: this.#clock.now() + REFUSED_MS });
    const [oldest] = this.#refused.keys();
    if (this.#refused.size > REFUSED_MAX && oldest !== undefined) this.#refused.delete(oldest);
  }
}
