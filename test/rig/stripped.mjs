/**
 * Loads TypeScript as it was stripped before. Node keeps stripped text with compiled code, which coverage cannot use: this
 * keeps the text alone, under the hash of what it was made from. Half of a small test file's time was stripping.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { registerHooks, stripTypeScriptTypes } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const FOLDER = fileURLToPath(new URL('../../node_modules/.cache/stripped', import.meta.url));

mkdirSync(FOLDER, { recursive: true });
registerHooks({
  load(url, context, nextLoad) {
    if (!/^file:.*\.ts$/.test(url) || url.includes('/node_modules/')) return nextLoad(url, context);
    return { format: 'module', source: stripped(readFileSync(new URL(url), 'utf8')), shortCircuit: true };
  },
});

/** @param {string} source */
function stripped(source) {
  const hash = createHash('sha256').update(`${process.version}\n${source}`).digest('hex');
  const file = join(FOLDER, hash);
  if (existsSync(file)) return readFileSync(file, 'utf8');
  const text = stripTypeScriptTypes(source);
  // Whole or not there: others read it meanwhile.
  const part = `${file}.${process.pid}`;
  writeFileSync(part, text);
  renameSync(part, file);
  return text;
}
