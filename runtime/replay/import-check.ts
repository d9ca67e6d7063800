/**
 * What the shards of another numbering took over, against what replay itself made of the shards before: every actor
 * once, each as it was.
 */
import { digestOf } from '#runtime/shard/deal';
import { shardErrors } from '#runtime/shard/errors';
import type { ShardState } from '#runtime/shard/state';
import type { Cell } from '#runtime/shard/table';
import type { Import } from '#schemas/commit';
import { FabricError } from '#schemas/fabric-error';

export class ImportCheck {
  readonly #stateOf: (shard: number) => ShardState | undefined;
  readonly #found = new Set<string>();
  #ended = 0;

  /** `stateOf` gives the state of a shard as far as it is replayed. */
  constructor(stateOf: (shard: number) => ShardState | undefined) {
    this.#stateOf = stateOf;
  }

  /** A part, before it counts. Throws `diverged`. */
  take(shard: number, taken: Import, cells: readonly Cell[]): void {
    // An earlier one was given up.
    if (shard === 0 && taken.part === 0) {
      this.#found.clear();
      this.#ended = 0;
    }
    const before = Array.from({ length: taken.from }, (_, old) => this.#stateOf(old));
    for (const cell of cells) {
      const { address } = cell;
      const isOnce = !this.#found.has(address);
      this.#found.add(address);
      const was = before
        .map((state) => state?.actors.peek(address))
        .filter((slot) => typeof slot === 'object');
      const [only] = was;
      if (isOnce && was.length === 1 && only !== undefined && digestOf(only) === digestOf(cell)) continue;
      throw diverged(shard, `${address} is not what it was before`);
    }
    if (taken.total === undefined) return;
    this.#ended += 1;
    if (this.#ended < taken.to) return;
    const count = before.reduce((sum, state) => sum + (state?.actors.size ?? 0), 0);
    if (count === this.#found.size && count === taken.total.realm) return;
    throw diverged(shard, `${count} actors lived before, ${this.#found.size} came along`);
  }
}

function diverged(shard: number, what: string): FabricError {
  return new FabricError(shardErrors.diverged, `The import of shard ${shard} differs: ${what}`, {
    details: { shard },
  });
}
