/** The text of a file that remembers what was signed: for each log, by origin, the largest tree. */
import { z } from 'zod';

/** A tree that was signed. */
export interface LogTree {
  /** Leaves. */
  readonly size: number;
  /** Root hash, base64. */
  readonly root: string;
}

const fileSchema = z.strictObject({
  format: z.literal(1),
  logs: z.record(z.string(), z.strictObject({ size: z.int().min(0), root: z.string() })),
});

/** Throws for any other text: it must not be taken for "nothing was signed". */
export function parseLogTrees(text: string): Map<string, LogTree> {
  return new Map(Object.entries(fileSchema.parse(JSON.parse(text)).logs));
}

export function formatLogTrees(trees: ReadonlyMap<string, LogTree>): string {
  return `${JSON.stringify({ format: 1, logs: Object.fromEntries(trees) }, null, 2)}\n`;
}
