/** Merges streams that are each in order into one that is. Holds one item of each. */
export async function* merge<T>(
  sources: readonly AsyncIterable<T>[],
  compare: (a: T, b: T) => number,
): AsyncGenerator<T, void, undefined> {
  const iterators = sources.map((source) => source[Symbol.asyncIterator]());
  const heads = await Promise.all(iterators.map((iterator) => iterator.next()));
  try {
    for (;;) {
      let first = -1;
      let least: { readonly value: T } | undefined;
      for (const [index, head] of heads.entries()) {
        if (head.done === true) continue;
        if (least === undefined || compare(head.value, least.value) < 0) {
          first = index;
          least = head;
        }
      }
      const iterator = iterators[first];
      if (least === undefined || iterator === undefined) return;
      yield least.value;
      heads[first] = await iterator.next();
    }
  } finally {
    await Promise.all(iterators.map((iterator) => iterator.return?.()));
  }
}
