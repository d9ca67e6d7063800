/** Everything a command has of its surroundings; tests give their own. */

import { plainBytes } from './render/format.ts';
import type { Palette } from './render/palette.ts';
import { palette, wantsColour } from './render/palette.ts';

/** Lines longer than this are for files, not for eyes: width where the output is no terminal. */
const WIDTH_PLAIN = 160;

export interface Io {
  readonly stdin: NodeJS.ReadableStream & { readonly isTTY?: boolean };
  readonly stdout: NodeJS.WritableStream & {
    readonly isTTY?: boolean;
    readonly columns?: number;
    readonly rows?: number;
  };
  readonly stderr: NodeJS.WritableStream & { readonly isTTY?: boolean; readonly columns?: number };
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  /** Program and arguments that run this command line once more. */
  readonly self: readonly string[];
  /** Aborted by Ctrl-C, by SIGTERM, and when the reader of stdout has gone. */
  readonly signal: AbortSignal;
}

/** Where a command writes: results to stdout, remarks to stderr. */
export interface Out {
  readonly json: boolean;
  readonly palette: Palette;
  readonly width: number;
  /** True where lines may be redrawn. */
  readonly live: boolean;
  /** Lines for people; nothing with `--json`. */
  lines(lines: readonly string[]): void;
  /** One NDJSON line; nothing without `--json`. */
  data(value: unknown): void;
  /** A remark that must not mix with results. */
  note(line: string): void;
}

export function outOf(io: Io, json: boolean): Out {
  const colours = wantsColour(io.env, io.stdout) && !json;
  return {
    json,
    palette: palette(colours),
    width: io.stdout.columns ?? WIDTH_PLAIN,
    live: io.stdout.isTTY === true && !json && io.env['TERM'] !== 'dumb',
    lines: (lines) => {
      if (!json && lines.length > 0) io.stdout.write(`${lines.join('\n')}\n`);
    },
    data: (value) => {
      if (json) io.stdout.write(`${JSON.stringify(value, plainBytes)}\n`);
    },
    note: (line) => {
      io.stderr.write(`${line}\n`);
    },
  };
}
