/**
 * Requests without an answer yet. One inbox subscription and one coarse timer for all of them: an ask costs a map
 * entry, not a subscription and a timer.
 *
 * D1  Every attempt of a request carries the same message id and the same reply subject, so that whichever answer
 *     comes first is the answer.
 * D2  Every request ends: with an answer, an error, or at its deadline.
 * D3  The number of open requests is bounded.
 */
import {
  createInbox,
  type Msg,
  type MsgHdrs,
  type NatsConnection,
  type Subscription,
} from '@nats-io/nats-core';
import { FabricError } from '#schemas/fabric-error';
import { clientErrors } from './errors.ts';

/** Precision of deadlines and retries. */
const TICK_MS = 10;
const BACKOFF_FIRST_MS = 20;
const BACKOFF_MS_MAX = 1_000;
const NO_RESPONDERS = 503;

export type Outcome<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly error: FabricError };

export interface Request<T> {
  /** Subject of an attempt, counted from 0. */
  readonly subject: (attempt: number) => string;
  readonly body: Uint8Array;
  readonly headers: MsgHdrs;
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
  /** May throw: the answer is then a `bad_answer`. */
  readonly read: (message: Msg) => Outcome<T>;
}

/** One request without an answer yet: a record, not a handful of function objects. */
interface Open {
  readonly token: string;
  readonly request: Request<unknown>;
  readonly resolve: (value: never) => void;
  readonly reject: (error: FabricError) => void;
  readonly startedAt: number;
  readonly deadline: number;
  /** When the next attempt is due. */
  attemptAt: number;
  attempts: number;
  lastError: FabricError | undefined;
  /** Attempts that met nobody: what nobody heard was not done. */
  unheard: number;
  /** Listens on the caller's signal, where there is one. */
  onAbort: (() => void) | undefined;
}

export interface DeskOptions {
  readonly outstandingMax: number;
  readonly attemptMs: number;
}

export class RequestDesk {
  readonly #nc: NatsConnection;
  readonly #options: DeskOptions;
  readonly #inbox = createInbox();
  readonly #open = new Map<string, Open>();
  readonly #subscription: Subscription;
  #next = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #closed = false;

  constructor(nc: NatsConnection, options: DeskOptions) {
    this.#nc = nc;
    this.#options = options;
    const tokenAt = this.#inbox.length + 1;
    this.#subscription = nc.subscribe(`${this.#inbox}.*`, {
      callback: (error, message) => {
        if (error !== null) return;
        const open = this.#open.get(message.subject.slice(tokenAt));
        if (open !== undefined) this.#receive(open, message);
      },
    });
  }

  /** Requests without an answer yet. */
  get outstanding(): number {
    return this.#open.size;
  }

  /** Publishes until answered. Rejects with a {@link FabricError}. */
  request<T>(request: Request<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (this.#closed) {
        return reject(new FabricError(clientErrors.client_closed, 'The client is closed'));
      }
      if (this.#open.size >= this.#options.outstandingMax) {
        return reject(
          new FabricError(clientErrors.too_many_asks, `${this.#open.size} requests await an answer`),
        );
      }
      const { signal } = request;
      if (signal?.aborted === true) return reject(aborted(signal));
      const now = performance.now();
      const open: Open = {
        token: (this.#next++).toString(36),
        request,
        resolve,
        reject,
        startedAt: now,
        deadline: now + request.timeoutMs,
        attemptAt: now + this.#options.attemptMs,
        attempts: 1,
        lastError: undefined,
        unheard: 0,
        onAbort: undefined,
      };
      if (signal !== undefined) {
        open.onAbort = () => this.#fail(open, aborted(signal));
        signal.addEventListener('abort', open.onAbort, { once: true });
      }
      this.#open.set(open.token, open);
      this.#attempt(open, 0);
      this.#arm();
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    for (const open of [...this.#open.values()]) {
      this.#fail(
        open,
        new FabricError(clientErrors.client_closed, 'The client closed before an answer came'),
      );
    }
    if (!this.#nc.isClosed()) this.#subscription.unsubscribe();
  }

  #receive(open: Open, message: Msg): void {
    const outcome = readOutcome(open.request, message);
    if (outcome.ok) {
      this.#finish(open);
      open.resolve(outcome.value as never);
      return;
    }
    if (!outcome.error.retryable) {
      this.#fail(open, outcome.error);
      return;
    }
    open.lastError = outcome.error;
    if (outcome.error.code === clientErrors.nobody_answers.code) open.unheard += 1;
    open.attemptAt = performance.now() + backoffMs(open.attempts);
  }

  #fail(open: Open, error: FabricError): void {
    this.#finish(open);
    open.reject(error);
  }

  #finish(open: Open): void {
    this.#open.delete(open.token);
    if (open.onAbort !== undefined) open.request.signal?.removeEventListener('abort', open.onAbort);
  }

  #attempt(open: Open, attempt: number): void {
    const { request, token } = open;
    try {
      this.#nc.publish(request.subject(attempt), request.body, {
        reply: `${this.#inbox}.${token}`,
        headers: request.headers,
      });
    } catch (cause) {
      const closed = this.#nc.isClosed() || this.#nc.isDraining();
      const kind = closed ? clientErrors.client_closed : clientErrors.body_not_encodable;
      this.#fail(open, new FabricError(kind, `The request cannot be published: ${String(cause)}`, { cause }));
    }
  }

  #arm(): void {
    if (this.#timer !== undefined || this.#closed || this.#open.size === 0) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#tick(performance.now());
      this.#arm();
    }, TICK_MS);
  }

  #tick(now: number): void {
    for (const open of this.#open.values()) {
      if (now >= open.deadline) this.#fail(open, timedOut(open, now));
      else if (now >= open.attemptAt) {
        open.attemptAt = now + this.#options.attemptMs;
        open.attempts += 1;
        this.#attempt(open, open.attempts - 1);
      }
    }
  }
}

function readOutcome<T>(request: Request<T>, message: Msg): Outcome<T> {
  if (message.data.byteLength === 0 && message.headers?.code === NO_RESPONDERS) {
    const error = new FabricError(clientErrors.nobody_answers, `Nobody answers on ${request.subject(0)}`, {
      details: { subject: request.subject(0) },
    });
    return { ok: false, error };
  }
  try {
    return request.read(message);
  } catch (cause) {
    const error = new FabricError(
      clientErrors.bad_answer,
      `${request.subject(0)} was answered with something else`,
      {
        cause,
      },
    );
    return { ok: false, error };
  }
}

/** The last refusal says more than that time ran out, unless an earlier attempt may still have been heard. */
function timedOut(open: Open, now: number): FabricError {
  const { lastError } = open;
  const maybeHeard = lastError?.code === clientErrors.nobody_answers.code && open.unheard < open.attempts;
  if (lastError !== undefined && !maybeHeard) return lastError;
  const waitedMs = Math.round(now - open.startedAt);
  return new FabricError(clientErrors.ask_timeout, `No answer within ${waitedMs} ms`, {
    details: { waitedMs, attempts: open.attempts },
  });
}

function aborted(signal: AbortSignal | undefined): FabricError {
  return new FabricError(clientErrors.ask_aborted, 'The caller gave up', { cause: signal?.reason });
}

/** Doubles per attempt, with jitter of a half either way: callers refused together must not come back together. */
function backoffMs(attempts: number): number {
  const base = Math.min(BACKOFF_FIRST_MS * 2 ** Math.min(attempts - 1, 10), BACKOFF_MS_MAX);
  return base * (0.5 + Math.random());
}
