/** What the jail is given, what it asks on the guest's behalf, and what comes of it. */
import type { WireError } from '#schemas/fabric-error';
import type { TaskLimits } from '#schemas/sandbox';

/** A component that passed the gate: text and modules that only a jail evaluates. */
export interface JailComponent {
  readonly sha256: string;
  /** JavaScript that links the core modules. Hostile as far as the parent is concerned: never evaluated there. */
  readonly glue: string;
  readonly cores: readonly {
    readonly name: string;
    readonly bytes: Uint8Array;
    readonly memoryPages: number;
  }[];
}

/** One run of a component. The same component, input, seed and answers give the same result and the same fuel. */
export interface JailTask {
  readonly component: JailComponent;
  readonly input: Uint8Array;
  readonly limits: TaskLimits;
  /** Of the guest's random numbers: an unsigned 64-bit integer. */
  readonly seed: bigint;
  /** What the guest's clock shows, in ms since 1970. It stands still while the guest runs. */
  readonly now: number;
  /** A process serves one tenant in its life. */
  readonly tenant: string;
  /**
   * Answers a call of the guest; the grant is checked there. The signal aborts when the task has ended otherwise.
   * A rejection fails the task with the error's code.
   */
  readonly host: (call: HostCall, signal: AbortSignal) => Promise<HostAnswer>;
  /** Ends the task with `task_cancelled`. */
  readonly signal?: AbortSignal;
}

/** What a guest asks of the world outside: every field was checked for its type and size, and for nothing else. */
export type HostCall =
  | { readonly kind: 'emit'; readonly name: string; readonly body: string }
  | { readonly kind: 'kv-get'; readonly key: string }
  | { readonly kind: 'kv-put'; readonly key: string; readonly value: Uint8Array }
  | { readonly kind: 'ask'; readonly to: string; readonly event: string }
  | {
      readonly kind: 'http';
      readonly method: string;
      readonly url: string;
      readonly headers: readonly (readonly [name: string, value: string])[];
      readonly body: Uint8Array;
    };

/** By kind: nothing, the value or undefined, nothing, JSON, a response. */
export interface HostValues {
  readonly emit: undefined;
  readonly 'kv-get': Uint8Array | undefined;
  readonly 'kv-put': undefined;
  readonly ask: string;
  readonly http: HttpAnswer;
}

export interface HttpAnswer {
  readonly status: number;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: Uint8Array;
}

/** A refusal is an answer: the guest sees its code and message and goes on. */
export type HostAnswer =
  | { readonly ok: true; readonly value: HostValues[HostCall['kind']] }
  | { readonly ok: false; readonly code: string; readonly message: string };

export interface LogLine {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly text: string;
}

/** What a run used, as far as it came. */
export interface JailUsage {
  /** 0 where the process ended before it could say. */
  readonly fuel: number;
  /** Linear memory at the end of the run; 0 where the process ended before it could say. */
  readonly memoryBytes: number;
  /** From the order to the result; waiting for a process and loading the component are not included. */
  readonly ms: number;
  readonly hostCalls: number;
  readonly logs: readonly LogLine[];
}

export type JailResult = JailUsage &
  (
    | { readonly kind: 'done'; readonly output: Uint8Array }
    | { readonly kind: 'failed'; readonly error: WireError }
  );
