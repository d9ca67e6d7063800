/** What clients did, a line each. Times are ms since the epoch, by a clock that no fault touches. */
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';

interface Timed {
  readonly client: string;
  /** When it was asked, and when the answer came. */
  readonly from: number;
  readonly to: number;
}

interface Committed extends Timed {
  /** Under which it was asked, until it was answered. */
  readonly id: string;
  readonly key: string;
  readonly shard: number;
  readonly index: number;
}

export type Operation =
  | (Committed & { readonly op: 'inc'; readonly n: number })
  | (Committed & { readonly op: 'set' | 'get'; readonly v: string | null })
  | (Committed & { readonly op: 'transfer'; readonly done: boolean })
  | (Committed & { readonly op: 'fenced'; readonly token: number; readonly accepted: boolean })
  | (Timed & { readonly op: 'note'; readonly id: string; readonly n: number })
  /** A lease from when it was held to when it was given back, or known to be lost. */
  | (Timed & { readonly op: 'lease'; readonly key: string; readonly token: number })
  /** Asked and never answered: done once or not at all. */
  | (Timed & {
      readonly op: 'unknown';
      readonly id: string;
      readonly what: string;
      readonly key: string;
      readonly error: string;
    });

/** A message that the log has: an entry of an ask or a send. */
export interface Arrival {
  readonly id: string;
  /** The actor. */
  readonly key: string;
  readonly shard: number;
  readonly index: number;
}

export type OperationOf<K extends Operation['op']> = Extract<Operation, { readonly op: K }>;

export function only<K extends Operation['op']>(
  history: readonly Operation[],
  ...kinds: readonly K[]
): OperationOf<K>[] {
  return history.filter((one): one is OperationOf<K> => (kinds as readonly string[]).includes(one.op));
}

export async function readHistory(file: string): Promise<Operation[]> {
  const operations: Operation[] = [];
  for await (const line of createInterface({ input: createReadStream(file) })) {
    operations.push(JSON.parse(line) as Operation);
  }
  return operations;
}
