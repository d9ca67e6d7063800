/** Files made from code: written, or compared when the script was called with `--check`. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';

/** Writes `text`, or with `--check` sets exit code 1 where the file differs. */
export function writeOrCheck(file: string, text: string): void {
  const present = existsSync(file) ? readFileSync(file, 'utf8') : undefined;
  if (present === text) return;
  if (process.argv.includes('--check')) {
    process.stderr.write(`${file} is stale: run node ${process.argv[1]?.split('/').slice(-2).join('/')}\n`);
    process.exitCode = 1;
  } else writeFileSync(file, text);
}
