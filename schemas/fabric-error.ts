/**
 * The one error family of the fabric. A kind is declared once, in the `errors.ts` of the folder that raises it,
 * with a stable code, whether a retry can help, and what the reader can do; docs/errors.md is generated from them.
 */

/** A stable kind of failure. */
export interface ErrorKind {
  readonly code: string;
  /** True when the same request may succeed later without anyone changing anything. */
  readonly retryable: boolean;
  /** What the reader can do about it: one sentence, shown below the message. */
  readonly help: string;
}

/** The form in which an error crosses a process boundary. */
export interface WireError {
  readonly code: string;
  readonly message: string;
  readonly retryable: boolean;
  readonly help?: string;
  readonly details?: Readonly<Record<string, unknown>>;
}

export interface FabricErrorOptions {
  /** Where it happened: subject, actor, file, line, shard … Never a secret. */
  readonly details?: Readonly<Record<string, unknown>>;
  readonly cause?: unknown;
}

/** A fault with a stable code. Thrown for faults; expected outcomes are returned as data. */
export class FabricError extends Error {
  readonly code: string;
  readonly retryable: boolean;
  readonly help: string;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(kind: ErrorKind, message: string, options: FabricErrorOptions = {}) {
    // Messages quote what others sent, cut anywhere: half a character is no text that a peer takes.
    super(message.toWellFormed(), options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'FabricError';
    this.code = kind.code;
    this.retryable = kind.retryable;
    this.help = kind.help;
    this.details = options.details ?? {};
  }

  /** The form sent to a peer: no stack, no cause. */
  toWire(): WireError {
    return {
      code: this.code,
      message: this.message,
      retryable: this.retryable,
      ...(this.help !== '' && { help: this.help }),
      ...(Object.keys(this.details).length > 0 && { details: this.details }),
    };
  }
}

/**
 * Declares the error kinds of a folder; the key is the code.
 *
 * @example
 * export const busErrors = errorKinds({ server_missing: { retryable: false, help: 'Set NATS_URL.' } });
 * throw new FabricError(busErrors.server_missing, 'No nats-server was found on PATH');
 */
export function errorKinds<const K extends Record<string, Omit<ErrorKind, 'code'>>>(
  kinds: K,
): { readonly [C in keyof K]: ErrorKind & { readonly code: C } } {
  return Object.fromEntries(Object.entries(kinds).map(([code, kind]) => [code, { code, ...kind }])) as {
    readonly [C in keyof K]: ErrorKind & { readonly code: C };
  };
}

/** The wire form of anything thrown: a {@link FabricError} keeps its code, the rest becomes `internal`. Never throws. */
export function toWireError(thrown: unknown): WireError {
  if (thrown instanceof FabricError) return thrown.toWire();
  return { code: 'internal', message: textOf(thrown).toWellFormed(), retryable: false };
}

function hasMessage(thrown: unknown): thrown is { readonly message: string } {
  if (thrown instanceof Error) return true;
  return (
    typeof thrown === 'object' && thrown !== null && 'message' in thrown && typeof thrown.message === 'string'
  );
}

function textOf(thrown: unknown): string {
  try {
    return String(hasMessage(thrown) ? thrown.message : thrown);
  } catch {
    // An object without `toString`, or a getter that throws.
    return 'something that has no text';
  }
}
