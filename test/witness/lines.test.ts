/** Lines as they come in parts, none held longer than it may be. */
import test from 'ava';
import fc from 'fast-check';
import { boundedLines } from '#runtime/witness/lines';

async function linesOf(parts: readonly string[], charsMax = 1_000): Promise<string[]> {
  const lines: string[] = [];
  for await (const line of boundedLines(stream(parts), charsMax)) lines.push(line);
  return lines;
}

async function* stream(parts: readonly string[]): AsyncGenerator<string> {
  yield* parts;
}

test('lines are the same however their text is cut, with LF and CRLF', async (t) => {
  const text = fc.array(fc.constantFrom('a', 'bc', '\n', '\r\n', 'ü'), { maxLength: 40 });
  await fc.assert(
    fc.asyncProperty(text, fc.array(fc.nat({ max: 60 })), async (pieces, cuts) => {
      const whole = pieces.join('');
      const at = [0, ...cuts.map((cut) => Math.min(cut, whole.length)), whole.length].sort((a, b) => a - b);
      const parts = at.slice(1).map((to, n) => whole.slice(at[n], to));
      const expected = whole.split(/\r?\n/);
      if (expected.at(-1) === '') expected.pop();
      t.deepEqual(await linesOf(parts), expected);
    }),
  );
});

test('a line without an end is given up as soon as it is too long, and nothing is read behind it', async (t) => {
  let read = 0;
  async function* endless(): AsyncGenerator<string> {
    yield 'short\n';
    for (;;) {
      read += 1;
      yield 'x'.repeat(100);
    }
  }
  const lines: string[] = [];
  for await (const line of boundedLines(endless(), 1_000)) lines.push(line);
  t.deepEqual([lines.length, lines[0]], [2, 'short']);
  t.true((lines[1]?.length ?? 0) > 1_000 && read < 15, String(read));
});
