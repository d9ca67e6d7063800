import test from 'ava';
import fc from 'fast-check';
import { type Graph, graphOf, type Pages, type Row, withRows } from '#machines/board-pages';

const BATCHES = fc.array(
  fc.record({
    /** Of the states so far, which one it goes on from: the newest, or one that came to nothing. */
    from: fc.nat(),
    deps: fc.array(fc.array(fc.stringMatching(/^[a-z0-9][a-z0-9._@+=:-]{0,8}$/), { maxLength: 3 }), {
      maxLength: 4,
    }),
  }),
  { maxLength: 20 },
);

test('pages tell the graph that was written, whichever of them is gone on from', (t) => {
  fc.assert(
    fc.property(BATCHES, (batches) => {
      const states: { pages: Pages; rows: readonly Row[] }[] = [{ pages: [], rows: [] }];
      for (const [batch, { from, deps }] of batches.entries()) {
        const before = states[from % states.length] ?? { pages: [], rows: [] };
        const rows = deps.map((of, n) => ({ id: `t${batch}-${n}`, deps: of }));
        states.push({ pages: withRows(before.pages, rows), rows: [...before.rows, ...rows] });
      }
      for (const { pages, rows } of states) {
        t.deepEqual(plain(graphOf(pages)), plain(new Map(rows.map(({ id, deps }) => [id, deps]))));
        // As the log gives it back.
        t.deepEqual(plain(graphOf(structuredClone(pages))), plain(graphOf(pages)));
      }
    }),
    { numRuns: 50 },
  );
});

test('ten thousand tasks are some text, and one more touches the last page alone', (t) => {
  let pages: Pages = [];
  for (let n = 0; n < 10_000; n += 100)
    pages = withRows(
      pages,
      Array.from({ length: 100 }, (_, at) => ({ id: `task-${n + at}`, deps: [`task-${n}`] })),
    );
  t.true(pages.length < 50, `${pages.length} pages`);
  const next = withRows(pages, [{ id: 'one-more', deps: ['task-1', 'task-2'] }]);
  t.deepEqual(next.slice(0, pages.length - 1), pages.slice(0, -1));
  t.deepEqual(graphOf(next).get('one-more'), ['task-1', 'task-2']);
  t.is(graphOf(next).size, 10_001);
  t.is(graphOf(pages).size, 10_000, 'what was before is as it was');
});

function plain(graph: Graph): readonly (readonly [string, readonly string[]])[] {
  return [...graph];
}
