/** Lines of a text that comes in parts, none held longer than it may be. */

/**
 * Lines end with LF or CRLF; the last one needs no end. One that grows past `charsMax` is given as far as it has come,
 * longer than that, and is the last: nothing reads on.
 */
export async function* boundedLines(parts: AsyncIterable<string>, charsMax: number): AsyncGenerator<string> {
  let held: string[] = [];
  let chars = 0;
  for await (const part of parts) {
    let from = 0;
    for (let end = part.indexOf('\n'); end !== -1; end = part.indexOf('\n', from)) {
      const line = held.join('') + part.slice(from, end);
      held = [];
      chars = 0;
      from = end + 1;
      yield line.endsWith('\r') ? line.slice(0, -1) : line;
    }
    const rest = part.slice(from);
    if (rest === '') continue;
    held.push(rest);
    chars += rest.length;
    if (chars > charsMax + 1) {
      yield held.join('');
      return;
    }
  }
  const line = held.join('');
  if (line !== '') yield line.endsWith('\r') ? line.slice(0, -1) : line;
}
