/** What asks are measured on: the limit loop or the kernel. */

/** CPU time since the start of each process, µs. */
export interface CpuTimes {
  readonly loopUs: number;
  /** Undefined off Linux. */
  readonly serverUs: number | undefined;
}

export interface Subject extends AsyncDisposable {
  /** `inc` of one counter; resolves after its commit. */
  ask(actor: string): Promise<unknown>;
  cpu(): Promise<CpuTimes>;
}
