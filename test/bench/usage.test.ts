import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import test from 'ava';

const RUN = fileURLToPath(new URL('./run.ts', import.meta.url));

test('the benchmarks say how they are called', (t) => {
  const help = spawnSync(process.execPath, [RUN, '--help'], { encoding: 'utf8' });
  t.is(help.status, 0, help.stderr);
  t.regex(help.stdout, /^Usage: npm run bench -- .*coordinator/);
  const wrong = spawnSync(process.execPath, [RUN, 'coordinator', '--fast'], { encoding: 'utf8' });
  t.is(wrong.status, 2);
  t.regex(wrong.stderr, /'--fast'[\s\S]*Usage: /);
  t.notRegex(wrong.stderr, /\n {4}at /);
});
