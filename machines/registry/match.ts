/** The one measure of who can do what. Pure. */

/** |required ∩ has| / |required|; who asks for nothing is served by everyone. */
export function matchOf(requires: readonly string[], has: readonly string[] | ReadonlySet<string>): number {
  const wanted = new Set(requires);
  if (wanted.size === 0) return 1;
  const able = has instanceof Set ? has : new Set(has);
  let met = 0;
  for (const capability of wanted) if (able.has(capability)) met += 1;
  return met / wanted.size;
}
