/** The one measure of who can do what. Pure. */

/** |required ∩ has| / |required|; who asks for nothing is served by everyone. */
export function matchOf(requires: readonly string[], has: readonly string[] | ReadonlySet<string>): number {
  if (requires.length === 0) return 1;
  const able = has instanceof Set ? has : new Set(has);
  let [wanted, met] = [0, 0];
  for (let n = 0; n < requires.length; n += 1) {
    const capability = requires[n] as string;
    // Named twice it counts once. The lists are short: a set of each would cost more than all else here.
    if (requires.indexOf(capability) < n) continue;
    wanted += 1;
    if (able.has(capability)) met += 1;
  }
  return met / wanted;
}
