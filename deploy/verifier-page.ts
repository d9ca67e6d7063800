/** docs/verifier.html: one page that verifies bundles in a browser, from the same code as the command. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { writeOrCheck } from './generated.ts';

const path = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

const { outputFiles } = await build({
  entryPoints: [path('verifier/page.ts')],
  bundle: true,
  write: false,
  format: 'esm',
  platform: 'browser',
  target: 'es2022',
  minify: true,
  legalComments: 'none',
  absWorkingDir: path('..'),
});
const [script] = outputFiles;
if (script === undefined) throw new Error('esbuild wrote nothing');
// A closing tag inside of a string would end the script.
const text = script.text.trim().replaceAll('</script', '<\\/script');
const page = readFileSync(path('verifier/page.html'), 'utf8').replace('/* SCRIPT */', () => text);
writeOrCheck(path('../docs/verifier.html'), page);
