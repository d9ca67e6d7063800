/** What stands for each promise is there, and every run takes some of it. */
import { existsSync, readFileSync } from 'node:fs';
import test from 'ava';
import { LONG_FILES } from '../long-files.ts';

/** A test file that the page names, and what of titles in it; none for all of them. */
interface Evidence {
  readonly name: string;
  readonly titles: readonly string[];
}

const PAGE = 'docs/promises.md';

/** What the page names below each promise, by its number. */
function promises(): Map<string, Evidence[]> {
  const [promised = ''] = readFileSync(PAGE, 'utf8').split('## What is not promised');
  const [, ...parts] = promised.split(/^\*\*(?=\d+\. )/m);
  return new Map(
    parts.map((part) => {
      const [, named = ''] = part.replaceAll(/\s+/g, ' ').split('→');
      const evidence = [...named.matchAll(/`([\w/.-]+)\.test\.ts`([^`]*)/g)].map(
        ([, name = '', further = '']) => ({
          name,
          titles: [...further.matchAll(/"([^"]+)"/g)].map(([, title = '']) => title),
        }),
      );
      return [part.slice(0, part.indexOf('.')), evidence];
    }),
  );
}

function sourceOf(name: string): string {
  return readFileSync(`test/${name}.test.ts`, 'utf8');
}

function isOfEveryRun({ name, titles }: Evidence): boolean {
  if (Object.hasOwn(LONG_FILES, name)) return false;
  const source = sourceOf(name);
  const begins = titles.length === 0 ? [''] : titles;
  return begins.some((title) =>
    new RegExp(`^ *test(\\.serial)?\\(\\s*['\`].*${RegExp.escape(title)}`, 'm').test(source),
  );
}

test('each promise names tests that exist, and one at least that every run takes', (t) => {
  const all = promises();
  t.true(all.size >= 16);
  for (const [number, evidence] of all) {
    for (const { name, titles } of evidence) {
      const source = sourceOf(name);
      for (const title of titles) t.true(source.includes(title), `promise ${number}: ${title}`);
    }
    t.true(evidence.some(isOfEveryRun), `promise ${number} has no test in npm test`);
  }
});

test('each long file is there, and says which files of every run show the same', (t) => {
  for (const [name, reason] of Object.entries(LONG_FILES)) {
    t.true(existsSync(`test/${name}.test.ts`), name);
    const shown = reason.match(/\b[a-z]+\/[\w/-]+/g) ?? [];
    t.true(shown.length > 0 || name === 'deploy/pack', name);
    for (const other of shown) {
      t.true(existsSync(`test/${other}.test.ts`), `${name}: ${other}`);
      t.false(Object.hasOwn(LONG_FILES, other), `${name}: ${other} is long too`);
    }
  }
});
