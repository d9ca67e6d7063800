/** What a node opens side by side is closed in order, also where the node ends before all of it has opened. */
import test from 'ava';
import { Resources } from '#runtime/node/resources';

function resource(name: string, closed: string[]): AsyncDisposable {
  return {
    async [Symbol.asyncDispose]() {
      closed.push(name);
    },
  };
}

test('what opened side by side is closed in reverse order of the list, whichever opened first', async (t) => {
  const closed: string[] = [];
  const resources = new Resources();
  resources.use(resource('before', closed));
  const late = Promise.withResolvers<AsyncDisposable>();
  const using = resources.useAll([late.promise, Promise.resolve(resource('b', closed))]);
  late.resolve(resource('a', closed));
  await using;
  await resources.disposeAsync();
  t.deepEqual(closed, ['b', 'a', 'before']);
});

test('where one fails to open, its failure is thrown and the others are closed', async (t) => {
  const closed: string[] = [];
  const resources = new Resources();
  const opening = [Promise.reject(new Error('no driver')), Promise.resolve(resource('b', closed))];
  await t.throwsAsync(resources.useAll(opening), { message: 'no driver' });
  await resources.disposeAsync();
  t.deepEqual(closed, ['b']);
});

test('a node that ends while one still opens closes it as soon as it has opened, before what it was opened with', async (t) => {
  const closed: string[] = [];
  const resources = new Resources();
  resources.use(resource('connection', closed));
  const late = Promise.withResolvers<AsyncDisposable>();
  const using = resources.useAll([late.promise, Promise.resolve(resource('b', closed))]);
  const ended = resources.disposeAsync();
  late.resolve(resource('a', closed));
  await Promise.all([using, ended]);
  t.deepEqual(closed, ['b', 'a', 'connection']);
});
