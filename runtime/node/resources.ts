/** What a node has opened, closed in reverse order. Node 22, which the package promises, has no AsyncDisposableStack. */
export class Resources {
  readonly #closers: (() => unknown)[] = [];

  defer(close: () => unknown): void {
    this.#closers.push(close);
  }

  use(resource: AsyncDisposable): void {
    this.defer(() => resource[Symbol.asyncDispose]());
  }

  /**
   * Waits for what is opened side by side and holds all that opens, in the order of the list, also where all is closed
   * before it has opened. Throws what the first of those that failed throws.
   */
  async useAll<T extends AsyncDisposable | undefined>(opening: readonly Promise<T>[]): Promise<void> {
    for (const one of opened(opening)) this.defer(async () => await (await one)?.[Symbol.asyncDispose]());
    const failed = (await Promise.allSettled(opening)).find(({ status }) => status === 'rejected');
    if (failed?.status === 'rejected') throw failed.reason;
  }

  /** Closes all, each once; what fails does not keep the others open, and is thrown at the end. */
  async disposeAsync(): Promise<void> {
    const failures: unknown[] = [];
    for (let close = this.#closers.pop(); close !== undefined; close = this.#closers.pop()) {
      try {
        await close();
      } catch (failure) {
        failures.push(failure);
      }
    }
    if (failures.length === 1) throw failures[0];
    if (failures.length > 1) throw new AggregateError(failures, 'several resources failed to close');
  }
}

/** What fails to open is told to who waits for it, and there is nothing of it to close. */
function opened<T>(opening: readonly Promise<T>[]): Promise<T | undefined>[] {
  return opening.map(async (one) => await one.catch(() => undefined));
}
