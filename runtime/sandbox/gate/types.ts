/** What the gate is given and what comes out of it. */

/** Bounds of what is let in. What a run may use is the task's, not the component's. */
export interface GateLimits {
  readonly bytesMax: number;
  readonly modulesMax: number;
  /** Core and component instances together. */
  readonly instancesMax: number;
  readonly functionsMax: number;
  readonly functionBytesMax: number;
  readonly memoryPagesMax: number;
  readonly tableElementsMax: number;
}

const MIB = 2 ** 20;

export const GATE_LIMITS: GateLimits = {
  /** An engine for JavaScript with a program inside has 2 to 13 MiB. */
  bytesMax: 32 * MIB,
  /** Tools make four: the guest, its adapter, and two for tables. */
  modulesMax: 16,
  instancesMax: 100,
  /** Of each module. */
  functionsMax: 100_000,
  functionBytesMax: MIB,
  /** 256 MiB, what a task has at most unless it is told otherwise. */
  memoryPagesMax: 4_096,
  tableElementsMax: 65_536,
};

/** A core module that counts what it uses. */
export interface GatedCore {
  /** As the glue asks for it. */
  readonly name: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Pages of 64 KiB that its memory begins with; 0 where it defines none. */
  readonly memoryPages: number;
}

/** A component that passed. Its glue is evaluated in a jail and nowhere else. */
export interface GatedComponent {
  /** Of the component's bytes as submitted, in hex. */
  readonly sha256: string;
  readonly glue: string;
  readonly cores: readonly GatedCore[];
  readonly imports: readonly string[];
  readonly exports: readonly string[];
  readonly stats: GateStats;
}

export interface GateStats {
  readonly bytes: number;
  readonly functions: number;
  readonly instructions: number;
  /** Stretches of code that compare the fuel with zero. */
  readonly checks: number;
  readonly gatedBytes: number;
}
