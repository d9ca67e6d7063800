/** Writes docs/errors.md from every family of errors that the code declares; `--check` fails when it is stale. */
import { globSync } from 'node:fs';
import { sep } from 'node:path';
import type { ErrorKind } from '#schemas/fabric-error';
import { writeOrCheck } from './generated.ts';

const sections: string[] = [];
const places = new Map<string, string>();
for (const file of globSync([
  '{actors,machines,runtime}/**/errors.ts',
  'schemas/*.ts',
  'machines/*.ts',
]).sort()) {
  const families = Object.entries((await import(`../${file}`)) as Record<string, Record<string, ErrorKind>>)
    .filter(([name]) => name.endsWith('Errors'))
    .flatMap(([, family]) => Object.values(family));
  if (families.length === 0) continue;
  const place = file.replace(`${sep}errors.ts`, '').replace(/\.ts$/, '');
  const kinds = families.sort((a, b) => (a.code < b.code ? -1 : 1));
  for (const { code } of kinds) claim(code, place);
  const rows = kinds.map(
    ({ code, retryable, help }) => `| \`${code}\` | ${retryable ? 'yes' : 'no'} | ${cell(help)} |`,
  );
  sections.push(
    `## ${place.replace(/^(?:runtime|actors)\//, '')}\n\n| code | retry helps | what to do |\n|---|---|---|\n${rows.join('\n')}\n`,
  );
}

writeOrCheck(
  'docs/errors.md',
  `# Errors

Generated from the code by \`node deploy/errors-docs.ts\`; do not edit.

Every error, wherever it comes from, is \`{code, message, retryable, help?, details?}\`. The code is stable: programs may
rely on it, and on nothing in the message. *Retry helps* means that the same request may succeed later without anyone
changing anything; retry under the same message id, and nothing is done twice. Whatever has no code of its own is
\`internal\`: a fault in InfraFabric, or in a machine or driver of yours.

${sections.join('\n')}`,
);

/** Codes are what programs rely on: one code has one meaning. */
function claim(code: string, folder: string): void {
  const before = places.get(code);
  if (before === undefined) places.set(code, folder);
  else throw new Error(`invariant: the code ${code} is declared in ${before} and in ${folder}`);
}

function cell(text: string): string {
  return text.replaceAll(/[|<]/g, (special) => `\\${special}`);
}
