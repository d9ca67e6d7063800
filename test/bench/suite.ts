/** A group of benchmarks that share their set-up. */
import type { Row } from './row.ts';

export interface Effort {
  /** Rounds of each ask case. */
  readonly rounds: number;
  readonly roundMs: number;
  /** Share of the full size of cases that count operations. */
  readonly scale: number;
  /** Measures only the limit. */
  readonly limitOnly: boolean;
  /** CPU profiles of the measured processes are left there. */
  readonly profileDir?: string | undefined;
  /** A picture goes there, where the suite draws one. */
  readonly picture?: string | undefined;
}

export interface Suite {
  readonly benches: readonly string[];
  run(wanted: (bench: string) => boolean, effort: Effort): AsyncIterable<Row>;
}
