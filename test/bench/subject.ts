/** What is measured: the limit loop or the kernel. */
export interface Subject extends AsyncDisposable {
  /** `inc` of one counter; resolves after its commit. */
  ask(actor: string): Promise<unknown>;
}
