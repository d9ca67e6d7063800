/** N2: what a node was started with stays with it. */
import { spawn } from 'node:child_process';
import { closeSync, fstatSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import test from 'ava';

const HEIR = fileURLToPath(new URL('./heir.ts', import.meta.url));
/** Node closes the first sixteen for its children; this one, behind a gap, it would hand on. */
const HANDED = 20;
const SLOW_MS = 120_000;

test('a process of the jail has none of the descriptors that its node was started with', async (t) => {
  t.timeout(SLOW_MS);
  const folder = mkdtempSync(join(tmpdir(), 'infrafabric-heir-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const secret = join(folder, 'secret');
  writeFileSync(secret, 'a key');
  const fd = openSync(secret, 'r');
  t.teardown(() => closeSync(fd));
  const gap = Array.from({ length: HANDED - 3 }, () => 'ignore' as const);
  const node = spawn(process.execPath, ['--no-warnings', HEIR], {
    stdio: ['ignore', 'pipe', 'inherit', ...gap, fd],
  });
  if (node.stdout === null) throw new Error('a node without output');
  const { own, inside, failure } = JSON.parse(await text(node.stdout)) as {
    own: readonly number[];
    inside: string;
    failure: string;
  };
  if (process.platform === 'linux') t.true(own.includes(HANDED), `the node has ${own}`);
  t.regex(inside, /^1 \w+ /m, `it told nothing: ${failure}`);
  const { dev, ino } = fstatSync(fd);
  t.false(inside.includes(`${dev}:${ino}`), inside);
  const above = inside.split('\n').filter((line) => Number.parseInt(line, 10) > 2);
  t.deepEqual(
    above.filter((line) => /file|folder|socket/.test(line)),
    [],
  );
});
