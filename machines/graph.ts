/** Dependency graphs. Pure. */

/**
 * A cycle through one of `added`, each depending on the next, the last being the first again; undefined where there is
 * none. Iterative: a chain of dependencies may be as long as a board.
 */
export function findCycle(
  added: Iterable<string>,
  depsOf: (id: string) => readonly string[],
): readonly string[] | undefined {
  const done = new Set<string>();
  for (const start of added) {
    const path: string[] = [];
    const onPath = new Set<string>();
    const stack: { readonly id: string; next: number }[] = [{ id: start, next: 0 }];
    while (stack.length > 0) {
      const top = stack[stack.length - 1] as { readonly id: string; next: number };
      if (top.next === 0 && !done.has(top.id) && !onPath.has(top.id)) {
        path.push(top.id);
        onPath.add(top.id);
      }
      const dep = done.has(top.id) ? undefined : depsOf(top.id)[top.next];
      if (dep === undefined) {
        if (!done.has(top.id)) {
          done.add(top.id);
          onPath.delete(top.id);
          path.pop();
        }
        stack.pop();
        continue;
      }
      top.next += 1;
      if (onPath.has(dep)) return [...path.slice(path.indexOf(dep)), dep];
      if (!done.has(dep)) stack.push({ id: dep, next: 0 });
    }
  }
  return undefined;
}
