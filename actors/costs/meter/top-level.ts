/**
 * Where the fields of a JSON object stand in its text, so that one can be changed and the rest stays as it came, to the byte.
 *
 * J1  The text has to be valid JSON already; this only finds places in it.
 * J2  A field that is there twice is refused: readers differ in which one they take.
 */

export interface FieldSpan {
  /** Of the value in the text. */
  readonly from: number;
  readonly to: number;
}

/** Undefined where a name comes twice. */
export function fieldsOf(text: string): Map<string, FieldSpan> | undefined {
  const fields = new Map<string, FieldSpan>();
  let at = text.indexOf('{') + 1;
  for (;;) {
    at = skip(text, at);
    if (text[at] === '}') return fields;
    if (text[at] === ',') {
      at += 1;
      continue;
    }
    const nameEnd = stringEnd(text, at);
    const name = JSON.parse(text.slice(at, nameEnd)) as string;
    if (fields.has(name)) return undefined; // J2
    const from = skip(text, text.indexOf(':', nameEnd) + 1);
    const to = valueEnd(text, from);
    fields.set(name, { from, to });
    at = to;
  }
}

/** Sets a field of an object, in its place or as the first one. */
export function withField(
  text: string,
  fields: Map<string, FieldSpan>,
  name: string,
  value: unknown,
): string {
  const span = fields.get(name);
  const json = JSON.stringify(value);
  if (span !== undefined) return `${text.slice(0, span.from)}${json}${text.slice(span.to)}`;
  const open = text.indexOf('{') + 1;
  return `${text.slice(0, open)}${JSON.stringify(name)}:${json}${fields.size === 0 ? '' : ','}${text.slice(open)}`;
}

function valueEnd(text: string, from: number): number {
  const first = text[from];
  if (first === '"') return stringEnd(text, from);
  if (first !== '{' && first !== '[') {
    let at = from;
    while (at < text.length && !/[\s,}\]]/.test(text[at] ?? '')) at += 1;
    return at;
  }
  let depth = 0;
  for (let at = from; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) at = stringEnd(text, at) - 1;
    else if (code === OPEN_BRACE || code === OPEN_BRACKET) depth += 1;
    else if (code === CLOSE_BRACE || code === CLOSE_BRACKET) {
      depth -= 1;
      if (depth === 0) return at + 1;
    }
  }
  return text.length;
}

/** Behind the closing quote. */
function stringEnd(text: string, from: number): number {
  let at = from + 1;
  for (;;) {
    const quote = text.indexOf('"', at);
    if (quote === -1) return text.length;
    let slashes = 0;
    while (text.charCodeAt(quote - 1 - slashes) === BACKSLASH) slashes += 1;
    if (slashes % 2 === 0) return quote + 1;
    at = quote + 1;
  }
}

function skip(text: string, from: number): number {
  let at = from;
  while (text.charCodeAt(at) <= SPACE) at += 1;
  return at;
}

const SPACE = 0x20;
const QUOTE = 0x22;
const OPEN_BRACKET = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
