/** Folders of guests: what begins one, what is missing in one, and what is wrong with its source. */
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import anyTest, { type TestFn } from 'ava';
import { buildGuest } from '#actors/chassis/guests/build';
import { componentOf, makeGuest, openGuest } from '#actors/chassis/guests/folder';

const test = anyTest as TestFn<{ folder: string }>;

test.beforeEach((t) => {
  t.context.folder = mkdtempSync(join(tmpdir(), 'guest-'));
});
test.afterEach.always((t) => rmSync(t.context.folder, { recursive: true }));

test('a guest has the name of a component, or is not begun', (t) => {
  for (const name of ['Word_Count', 'my guest', '$&', '9lives']) {
    const folder = join(t.context.folder, name);
    t.throws(() => makeGuest(folder, 'wat'), { code: 'bad_guest_name' }, name);
    t.false(existsSync(folder));
  }
  const folder = join(t.context.folder, 'word-count');
  makeGuest(folder, 'wat');
  t.is(openGuest(folder).contract.name, 'word-count');
  t.throws(() => makeGuest(folder, 'wat'), { code: 'guest_exists' });
});

test('what is missing is named: the folder, the contract, the component, the source', (t) => {
  const { folder } = t.context;
  t.throws(() => openGuest(join(folder, 'nowhere')), { code: 'no_guest', message: /no folder/ });
  t.throws(() => openGuest(folder), { code: 'no_guest', message: /no contract\.yaml/ });
  writeFileSync(join(folder, 'contract.yaml'), 'name: only');
  t.throws(() => componentOf(openGuest(folder)), { code: 'guest_not_built', message: /nor a source/ });
  mkdirSync(join(folder, 'sub'));
  writeFileSync(join(folder, 'guest.wat'), '(module)');
  t.throws(() => componentOf(openGuest(folder)), { code: 'guest_not_built', message: /chassis build/ });
});

test('an error in a text of WebAssembly has its place and its reason', async (t) => {
  const { folder } = t.context;
  writeFileSync(join(folder, 'contract.yaml'), 'name: only');
  const source = join(folder, 'guest.wat');
  for (const [text, said] of [
    ['(module\n  (foo))', 'line 2, column 4: expected valid module field'],
    ['(module (func i32.const 99999999999))', 'line 1, column 25: invalid i32 number: constant out of range'],
    ['"abc', 'line 1, column 5: '],
  ] as const) {
    writeFileSync(source, text);
    const error = await t.throwsAsync(buildGuest(openGuest(folder)), { code: 'guest_not_built' });
    t.true(error?.message.startsWith(`${source}: ${said}`), error?.message);
  }
});
