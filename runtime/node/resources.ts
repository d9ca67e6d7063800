/** What a node has opened, closed in reverse order. Node 22, which the package promises, has no AsyncDisposableStack. */
export class Resources {
  readonly #closers: (() => unknown)[] = [];

  defer(close: () => unknown): void {
    this.#closers.push(close);
  }

  use(resource: AsyncDisposable): void {
    this.defer(() => resource[Symbol.asyncDispose]());
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
