/**
 * What a process printed, without what it must not tell: its output is kept in the log, where all who read it would see.
 *
 * H1  What stands in its stead is the name by which it was given, as in the template: `${env:API_KEY}`.
 * H2  It is found before the output is cut, so that no half of it stays. Where the output ends because no more of it was
 *     read, what stands there may be the beginning of one.
 */

/** Shorter ones are no secrets, and would be found in words. */
const SECRET_CHARS_MIN = 6;
/** Read beyond what is kept, so that a secret which begins within it is seen whole (H2). */
export const SECRET_BYTES_MAX = 4_096;

/** Name → secret. */
export type Secrets = ReadonlyMap<string, string>;

/** At most so many bytes of the text; `isCut` says that more was printed than was read of it. */
export function hidden(text: string, secrets: Secrets, bytesMax: number, isCut: boolean): string {
  const known = [...secrets]
    .filter(([, secret]) => secret.length >= SECRET_CHARS_MIN)
    .flatMap(([name, secret]) =>
      [...new Set([secret, encodeURIComponent(secret), JSON.stringify(secret).slice(1, -1)])].map(
        (form) => [name, form] as const,
      ),
    )
    // One may hold another.
    .toSorted(([, a], [, b]) => b.length - a.length);
  let left = text;
  for (const [name, form] of known) left = left.replaceAll(form, () => name);
  if (isCut) left = withoutBegun(left, known);
  if (Buffer.byteLength(left) <= bytesMax) return left;
  // A character is not cut in two.
  return new TextDecoder().decode(Buffer.from(left).subarray(0, bytesMax), { stream: true });
}

/** H2: without the longest end that one of these begins with. */
function withoutBegun(text: string, known: readonly (readonly [string, string])[]): string {
  // A character that was cut is shown so.
  const whole = text.replace(/\uFFFD+$/, '');
  const begun = known.map(([, form]) => {
    let length = Math.min(form.length - 1, whole.length);
    while (length > 0 && !whole.endsWith(form.slice(0, length))) length -= 1;
    return length;
  });
  return whole.slice(0, whole.length - Math.max(0, ...begun));
}
