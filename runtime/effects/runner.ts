/**
 * Runs the effects of a shard; the shards of a node share a hub.
 *
 * R1  A started effect is delivered exactly once, or cancelled and never delivered; a second start of a key that is
 *     still under way changes nothing.
 * R2  Nothing of a driver runs inside `start` or `cancel`, and nothing is delivered inside them.
 * R3  Whatever a driver does (throws, never settles, settles late or twice, ignores its signal, returns rubbish)
 *     reaches only its own effect; a slot is given back when an attempt ends or its time is up.
 * R4  Attempts follow the policy: effect before driver before default; terminal errors end it at once.
 * R5  Everything is bounded: effects under way, attempts at a time (per driver and in all), calls that outlive their
 *     time limit, the output. What is beyond a bound is delivered as a typed error.
 * R6  Drivers with waiting effects take turns, and within a driver its actors do (lanes.ts).
 * R7  Time and chance come from the ports only.
 * R8  Runners of one hub share its bounds on attempts and on abandoned calls, and nothing else: closing one leaves the
 *     others as they are.
 */
import type { Clock, EffectResult, EffectRunner, Logger, PendingEffect, Random } from '#runtime/shard/ports';
import type { RetryPolicy } from '#schemas/commit';
import { FabricError, toWireError, type WireError } from '#schemas/fabric-error';
import { retryDelayMs, retryPolicy } from './backoff.ts';
import type { Driver } from './driver.ts';
import { effectErrors } from './errors.ts';
import { type Lane, Lanes, type Turn } from './lanes.ts';
import { plainCopy } from './plain.ts';

export interface EffectLimits {
  /** Effects of one runner, started and not delivered. */
  readonly pendingMax: number;
  /** Attempts at a time over all drivers. */
  readonly concurrencyMax: number;
  /** Attempts at a time of a driver that names no number. */
  readonly driverConcurrencyMax: number;
  /** Calls of one driver that go on after their time was up. */
  readonly abandonedMax: number;
  readonly outputBytesMax: number;
  /** Limit of an attempt where neither effect nor driver names one. */
  readonly timeoutMs: number;
  /** How long `close` waits for drivers to stop. */
  readonly closeGraceMs: number;
}

export const EFFECT_LIMITS: EffectLimits = {
  // A pending effect is about 1 kB.
  pendingMax: 100_000,
  concurrencyMax: 256,
  driverConcurrencyMax: 64,
  abandonedMax: 256,
  // Half of what one step may add to a commit.
  outputBytesMax: 128 * 1024,
  timeoutMs: 30_000,
  closeGraceMs: 5_000,
};

/** A timer cannot wait longer than 2^31 ms; a day is more than any attempt should take. */
const TIMEOUT_MS_MAX = 86_400_000;
/** A server that asks for more patience than this is asked again anyway. */
const RETRY_AFTER_MS_MAX = 600_000;
/** Errors go into the log with their effect. */
const MESSAGE_CHARS_MAX = 4_096;
const DETAILS_BYTES_MAX = 16_384;

export interface EffectRunnerOptions {
  readonly drivers: readonly Driver[];
  readonly clock: Clock;
  readonly random: Random;
  /** Hears of each result; called in a later task than the `start`. */
  readonly deliver: (result: EffectResult) => void;
  readonly log: Logger;
  readonly limits?: Partial<EffectLimits>;
}

export interface EffectHub {
  /** A runner of its own effects within the bounds of the hub. */
  runner(deliver: EffectRunnerOptions['deliver']): Effects;
}

/**
 * The drivers of a node and its bounds, for all of its shards.
 *
 * @example
 * const hub = createEffectHub({ drivers: [httpDriver(options)], clock, random, log });
 * const runner = hub.runner((result) => shard.hear(result));
 */
export function createEffectHub(options: Omit<EffectRunnerOptions, 'deliver'>): EffectHub {
  const lanes = new Lanes(options.drivers, { ...EFFECT_LIMITS, ...options.limits });
  return { runner: (deliver) => new Effects({ ...options, deliver }, lanes) };
}

/** One effect on its way. */
interface Flight {
  readonly effect: PendingEffect;
  readonly policy: RetryPolicy;
  readonly timeoutMs: number;
  readonly turn: Turn;
  attempt: number;
  /** Present while an attempt runs. */
  stop: ((reason: FabricError) => void) | undefined;
  /** Present between attempts. */
  retryTimer: unknown;
}

export class Effects implements EffectRunner {
  readonly #options: EffectRunnerOptions;
  readonly #limits: EffectLimits;
  readonly #lanes: Lanes;
  readonly #flights = new Map<string, Flight>();
  /** Calls whose driver has not settled, the abandoned ones too. */
  readonly #calls = new Set<Promise<void>>();
  #closed = false;

  /** Without `lanes` the bounds are its own; see {@link createEffectHub}. */
  constructor(options: EffectRunnerOptions, lanes?: Lanes) {
    this.#options = options;
    this.#limits = { ...EFFECT_LIMITS, ...options.limits };
    this.#lanes = lanes ?? new Lanes(options.drivers, this.#limits);
  }

  /** Effects started and not delivered. */
  get pending(): number {
    return this.#flights.size;
  }

  start(effect: PendingEffect): void {
    if (this.#closed || this.#flights.has(effect.key)) return; // R1
    const lane = this.#lanes.get(effect.driver);
    const full = this.#flights.size >= this.#limits.pendingMax;
    const timeoutMs = effect.timeoutMs ?? lane?.driver.timeoutMs ?? this.#limits.timeoutMs;
    const flight: Flight = {
      effect,
      policy: retryPolicy(effect.retry, lane?.driver.retry),
      timeoutMs: timeoutMs > 0 ? Math.min(timeoutMs, TIMEOUT_MS_MAX) : this.#limits.timeoutMs,
      turn: (turnLane) => this.#attempt(turnLane, flight),
      attempt: 0,
      stop: undefined,
      retryTimer: undefined,
    };
    this.#flights.set(effect.key, flight);
    if (lane === undefined) {
      const known = this.#lanes.names();
      const message = `There is no driver "${effect.driver}"`;
      this.#refuse(flight, new FabricError(effectErrors.unknown_driver, message, { details: { known } }));
    } else if (full) {
      const details = { pendingMax: this.#limits.pendingMax };
      const message = `${details.pendingMax} effects are under way`;
      this.#refuse(flight, new FabricError(effectErrors.effect_overloaded, message, { details })); // R5
    } else {
      this.#lanes.push(lane, effect.actor, flight.turn);
    }
  }

  cancel(key: string): void {
    const flight = this.#flights.get(key);
    if (flight === undefined) return;
    this.#flights.delete(key); // R1: from here on nobody can deliver it
    this.#drop(flight, 'The effect was cancelled');
  }

  /** Aborts everything; resolves when the drivers have stopped, or after the grace period. Nothing is delivered. */
  async close(): Promise<void> {
    this.#closed = true;
    const flights = [...this.#flights.values()];
    this.#flights.clear();
    for (const flight of flights) this.#drop(flight, 'The node is closing');
    // The aborts above run as microtasks (R2): calls settle after them.
    await Promise.resolve();
    if (this.#calls.size === 0) return;
    const { clock, log } = this.#options;
    let timer: unknown;
    const grace = new Promise<void>((resolve) => {
      timer = clock.setTimer(resolve, this.#limits.closeGraceMs);
    });
    await Promise.race([Promise.all(this.#calls), grace]);
    clock.clearTimer(timer);
    if (this.#calls.size > 0) log.warn({ calls: this.#calls.size }, 'effects.drivers_still_running');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #drop(flight: Flight, why: string): void {
    this.#lanes.get(flight.effect.driver)?.queue.delete(flight.effect.actor, flight.turn);
    this.#options.clock.clearTimer(flight.retryTimer);
    const { stop } = flight;
    if (stop === undefined) return;
    queueMicrotask(() => stop(new FabricError(effectErrors.effect_cancelled, why))); // R2
  }

  #attempt(lane: Lane, flight: Flight): void {
    const { clock } = this.#options;
    const { effect } = flight;
    if (lane.abandoned >= this.#limits.abandonedMax) {
      const message = `${lane.abandoned} calls of driver "${lane.driver.name}" did not stop`;
      this.#refuse(flight, new FabricError(effectErrors.driver_stuck, message)); // R5
      return;
    }
    flight.attempt++;
    this.#lanes.take(lane);
    const abort = new AbortController();
    let open = true;
    /** Ends the attempt once, whoever comes first: the driver, the clock or a cancellation. */
    const end = (): boolean => {
      if (!open) return false;
      open = false;
      clock.clearTimer(timer);
      flight.stop = undefined;
      this.#lanes.give(lane);
      return true;
    };
    const halt = (reason: FabricError): void => {
      if (!end()) return;
      lane.abandoned++;
      abort.abort(reason);
    };
    const expire = (): void => {
      const details = { timeoutMs: flight.timeoutMs, attempt: flight.attempt };
      const message = `Driver "${lane.driver.name}" took longer than ${flight.timeoutMs} ms`;
      const error = new FabricError(effectErrors.effect_timeout, message, { details });
      if (!open) return;
      halt(error);
      this.#failed(flight, error);
    };
    const timer = lane.driver.waits === true ? undefined : clock.setTimer(expire, flight.timeoutMs);
    flight.stop = halt;

    const call = callDriver(lane.driver, {
      key: effect.key,
      actor: effect.actor,
      input: effect.input,
      attempt: flight.attempt,
      signal: abort.signal,
      ...(effect.trace !== undefined && { trace: effect.trace }),
    }).then(
      (output) => (end() ? this.#succeeded(flight, output) : this.#returned(lane)),
      (thrown: unknown) => (end() ? this.#failed(flight, thrown) : this.#returned(lane)),
    );
    this.#calls.add(call);
    void call.finally(() => this.#calls.delete(call));
  }

  /** A call that had been given up has settled after all. */
  #returned(lane: Lane): void {
    lane.abandoned--;
  }

  #succeeded(flight: Flight, output: unknown): void {
    this.#deliver(flight, resultOf(flight.effect.key, output, this.#limits.outputBytesMax));
  }

  #failed(flight: Flight, thrown: unknown): void {
    const { clock, random, log } = this.#options;
    const { key, actor, driver } = flight.effect;
    if (this.#flights.get(key) !== flight) return;
    const error = asFabricError(thrown);
    if (!error.retryable || flight.attempt >= flight.policy.attempts) {
      this.#deliver(flight, { key, ok: false, error: wireOf(error, flight.attempt) });
      return;
    }
    const { retryAfterMs } = error.details;
    const delayMs = Math.max(
      retryDelayMs(flight.policy, flight.attempt, random.next()),
      Math.min(Number(retryAfterMs ?? 0) || 0, RETRY_AFTER_MS_MAX),
    );
    log.debug({ key, actor, driver, attempt: flight.attempt, code: error.code, delayMs }, 'effects.retry');
    // R5: a pause holds no slot.
    flight.retryTimer = clock.setTimer(() => {
      flight.retryTimer = undefined;
      const lane = this.#lanes.get(driver);
      if (lane !== undefined) this.#lanes.push(lane, actor, flight.turn);
    }, delayMs);
  }

  /** Delivers an error for an effect that is not run (R2: later). */
  #refuse(flight: Flight, error: FabricError): void {
    queueMicrotask(() => this.#deliver(flight, { key: flight.effect.key, ok: false, error: error.toWire() }));
  }

  #deliver(flight: Flight, result: EffectResult): void {
    if (this.#flights.get(result.key) !== flight) return; // R1: cancelled, or closed
    this.#flights.delete(result.key);
    this.#options.deliver(result);
  }
}

/** R3: a throw of any sort becomes a rejection, and nothing but the first settlement counts. */
async function callDriver(driver: Driver, call: Parameters<Driver['run']>[0]): Promise<unknown> {
  if (call.attempt === 1 && driver.validate !== undefined) {
    try {
      driver.validate(call.input);
    } catch (thrown) {
      if (thrown instanceof FabricError && !thrown.retryable) throw thrown;
      const message = thrown instanceof Error ? thrown.message : String(thrown);
      throw new FabricError(effectErrors.effect_bad_input, message, { cause: thrown });
    }
  }
  return driver.run(call);
}

/** R3: rubbish becomes an error of its own effect. */
function resultOf(key: string, output: unknown, bytesMax: number): EffectResult {
  try {
    return { key, ok: true, output: plainCopy(output, bytesMax) };
  } catch (thrown) {
    return { key, ok: false, error: toWireError(thrown) };
  }
}

function asFabricError(thrown: unknown): FabricError {
  if (thrown instanceof FabricError) return thrown;
  let message = 'The driver threw something unreadable';
  try {
    message = thrown instanceof Error ? thrown.message : String(thrown);
  } catch {
    // A thrown object may refuse to be shown: the message above says so.
  }
  return new FabricError(effectErrors.driver_error, message, { cause: thrown });
}

/** With the attempts made, and only what can be stored. */
function wireOf(error: FabricError, attempts: number): WireError {
  const { details, ...rest } = error.toWire();
  const wire = { ...rest, message: rest.message.slice(0, MESSAGE_CHARS_MAX) };
  try {
    return { ...wire, details: { ...(plainCopy(details ?? {}, DETAILS_BYTES_MAX) as object), attempts } };
  } catch {
    return { ...wire, details: { attempts } };
  }
}
