/**
 * One process that runs the tasks of one tenant, one after the other.
 *
 * P1  It speaks when it is asked and in order; anything else ends it (`jail_protocol`).
 * P2  Whatever exceeds a limit ends it at once. Time, lines, calls and sizes are judged here, on what came out of the
 *     pipe; fuel and memory in the process, and the parent only checks that they can be true.
 * P3  After anything but an orderly result it is ended: no task runs where another has trapped.
 * P4  What takes long, a start among it, yields the processor to short runs of others.
 * P5  A run's time begins when its component is loaded. Loading has a bound of its own: it is our work on the guest's
 *     code, and must not use up what the guest was given.
 */
import { type ErrorKind, FabricError, toWireError, type WireError } from '#schemas/fabric-error';
import { answerFields } from './answer.ts';
import { RunBudget } from './budget.ts';
import { Channel } from './channel.ts';
import { CALL_BYTES_MAX, FRAME_OVERHEAD_BYTES } from './child/bounds.ts';
import { FRAME, type Frame, FrameError, toNumber, toText, toWord } from './child/frames.ts';
import { jailErrors } from './errors.ts';
import { type GuestMessage, readMessage, type Used } from './guest-message.ts';
import { type Launched, launch, type Program } from './launch.ts';
import type { Layers } from './layers.ts';
import type { HostCall, JailResult, JailTask } from './types.ts';

/** A run that takes longer yields (W2). */
const SHORT_MS = 10;
/** P5. Compiling the largest component takes a second on a slow core, and the jail may have little of a busy one. */
const LOAD_MS_MAX = 60_000;

export interface TaskProcessOptions {
  readonly program: Program;
  readonly layers: Layers;
  /** The most that any of its tasks may have. */
  readonly memoryBytesMax: number;
  readonly name: string;
}

/** A task under way. */
interface Running {
  readonly task: JailTask;
  readonly budget: RunBudget;
  startedAt: number;
  readonly result: PromiseWithResolvers<JailResult>;
  readonly abort: AbortController;
  readonly yields: NodeJS.Timeout;
  ends: NodeJS.Timeout;
  isLoaded: boolean;
  /** It waits for an answer, and has nothing to say. */
  isAnswered: boolean;
  failure: WireError | undefined;
}

export class TaskProcess {
  readonly #launched: Launched;
  #opened: Channel | undefined;
  readonly #components = new Set<string>();
  #running: Running | undefined;
  #runs = 0;

  private constructor(launched: Launched) {
    this.#launched = launched;
  }

  /** Resolves when it waits for its first order. Throws `jail_not_started`. */
  static async start({ program, layers, memoryBytesMax, name }: TaskProcessOptions): Promise<TaskProcess> {
    const started = new TaskProcess(await launch(program, layers, memoryBytesMax, name));
    started.#opened = await Channel.open(started.#launched, {
      frameBytesMax: () => started.#frameBytesMax(),
      onFrame: (frame) => started.#take(frame),
      onBroken: (why) => started.#fail(jailErrors.jail_protocol, `The process said what it may not: ${why}`),
      onEnd: (how) => started.#end(how),
    });
    return started;
  }

  get #channel(): Channel {
    if (this.#opened === undefined) throw new Error('a process that has not started');
    return this.#opened;
  }

  get isEnded(): boolean {
    return this.#channel.isKilled;
  }

  get ended(): Promise<void> {
    return this.#channel.ended;
  }

  get runs(): number {
    return this.#runs;
  }

  get components(): ReadonlySet<string> {
    return this.#components;
  }

  /** Resolves with what came of it, whatever that is. */
  run(task: JailTask): Promise<JailResult> {
    const { limits, component, signal } = task;
    const { share } = this.#launched;
    const result = Promise.withResolvers<JailResult>();
    const isLoaded = this.#components.has(component.sha256);
    share.take();
    const startedAt = performance.now();
    this.#running = {
      task,
      budget: new RunBudget(limits, startedAt),
      startedAt,
      result,
      abort: new AbortController(),
      yields: setTimeout(() => share.yield(), SHORT_MS), // P4
      ends: isLoaded ? this.#endAfter(limits.wallMs, 'took') : this.#endAfter(LOAD_MS_MAX, 'loaded'),
      isLoaded,
      isAnswered: true,
      failure: undefined,
    };
    this.#runs += 1;
    if (this.isEnded) void this.ended.then(() => this.#end('it had ended before'));
    if (signal?.aborted) this.#cancel();
    else signal?.addEventListener('abort', this.#cancel, { once: true });
    if (!isLoaded) {
      this.#components.add(component.sha256);
      this.#channel.send(FRAME.load, [
        toText(component.sha256),
        toText(component.glue),
        ...component.cores.flatMap(({ name, bytes, memoryPages }) => [
          toText(name),
          bytes,
          toNumber(memoryPages),
        ]),
      ]);
    }
    this.#channel.send(FRAME.run, [
      toText(component.sha256),
      task.input,
      toWord(task.seed),
      toNumber(task.now),
      ...[limits.fuel, limits.memoryBytes, limits.outputBytes, limits.logBytes].map(toNumber),
    ]);
    return result.promise;
  }

  #endAfter(ms: number, what: 'took' | 'loaded'): NodeJS.Timeout {
    return setTimeout(
      () => this.#fail(jailErrors.task_time_exceeded, `The task ${what} longer than ${ms} ms`),
      ms,
    );
  }

  async kill(): Promise<void> {
    this.#channel.kill();
    await this.#channel.ended;
  }

  #frameBytesMax(): number {
    const limits = this.#running?.task.limits;
    return Math.max(limits?.outputBytes ?? 0, limits?.logBytes ?? 0, CALL_BYTES_MAX) + FRAME_OVERHEAD_BYTES;
  }

  /** P1. Throws {@link FrameError}. */
  #take(frame: Frame): void {
    const message = readMessage(frame);
    const running = this.#running;
    if (running === undefined || !running.isAnswered) throw new FrameError('it was not asked');
    if (running.failure === undefined) this.#heed(running, message);
  }

  /** P2. */
  #heed(running: Running, message: GuestMessage): void {
    const { budget, task, isLoaded } = running;
    if (!isLoaded && message.kind !== 'loaded' && message.kind !== 'failed') {
      throw new FrameError('it runs what it has not loaded');
    }
    switch (message.kind) {
      case 'loaded':
        this.#begin(running);
        return;
      case 'log': {
        const exceeded = budget.log(message.line, message.bytes);
        if (exceeded !== undefined) {
          this.#fail(exceeded, `The guest logged more than ${task.limits.logBytes} bytes`);
        }
        return;
      }
      case 'call': {
        const exceeded = budget.call(performance.now());
        if (exceeded === undefined) void this.#answer(running, message.call);
        else this.#fail(exceeded, `The guest made ${budget.hostCalls} calls, oftener than it may`);
        return;
      }
      case 'done':
        checkUsed(message, task);
        if (message.output.byteLength > task.limits.outputBytes)
          throw new FrameError('a longer output than it may have');
        this.#settle({ kind: 'done', output: message.output, ...this.#usage(running, message) });
        return;
      case 'failed': {
        checkUsed(message, task);
        const { code, stack } = message;
        const details = stack === '' ? {} : { details: { stack } };
        const error = new FabricError(jailErrors[code], message.message, details).toWire();
        if (code !== 'task_failed') this.#channel.kill(); // P3
        this.#settle({ kind: 'failed', error, ...this.#usage(running, message) });
      }
    }
  }

  /** P5. */
  #begin(running: Running): void {
    if (running.isLoaded) throw new FrameError('it was not asked to load');
    running.isLoaded = true;
    running.startedAt = performance.now();
    clearTimeout(running.ends);
    running.ends = this.#endAfter(running.task.limits.wallMs, 'took');
  }

  async #answer(running: Running, call: HostCall): Promise<void> {
    running.isAnswered = false;
    try {
      const answer = await running.task.host(call, running.abort.signal);
      if (this.#running !== running || running.failure !== undefined) return;
      running.isAnswered = true;
      this.#channel.send(FRAME.answer, answerFields(call, answer));
    } catch (thrown) {
      if (this.#running === running) this.#failWith(toWireError(thrown));
    }
  }

  readonly #cancel = (): void => this.#fail(jailErrors.task_cancelled, 'The task was cancelled');

  #fail(kind: ErrorKind, message: string): void {
    this.#failWith(new FabricError(kind, message).toWire());
  }

  /** P3. The result comes when nothing of the process runs (H3). */
  #failWith(error: WireError): void {
    const running = this.#running;
    if (running === undefined) {
      this.#opened?.kill();
      return;
    }
    running.failure ??= error;
    clearTimeout(running.yields);
    this.#opened?.kill();
    running.abort.abort();
  }

  #end(how: string): void {
    const running = this.#running;
    if (running !== undefined) {
      const error = running.failure ?? this.#reasonOf(how);
      this.#settle({ kind: 'failed', error, ...this.#usage(running, { fuel: 0, memoryBytes: 0 }) });
    }
  }

  #reasonOf(how: string): WireError {
    const kills = this.#launched.cgroup?.outOfMemoryKills() ?? 0;
    const isMemory = kills > 0 || /out of memory/i.test(this.#channel.stderr);
    const error = isMemory
      ? new FabricError(
          jailErrors.task_memory_exceeded,
          'The process of the task took more memory than guests and generated code may have together',
        )
      : new FabricError(jailErrors.jail_died, `The process of the task died: ${how}`, this.#tail());
    return error.toWire();
  }

  #tail(): { readonly details: Record<string, unknown> } {
    const { stderr } = this.#channel;
    return { details: stderr === '' ? {} : { stderr } };
  }

  #usage(
    { budget, startedAt }: Running,
    { fuel, memoryBytes }: Used,
  ): Omit<JailResult & { kind: 'done' }, 'kind' | 'output'> {
    const ms = performance.now() - startedAt;
    return { fuel, memoryBytes, ms, hostCalls: budget.hostCalls, logs: budget.logs };
  }

  #settle(result: JailResult): void {
    const running = this.#running;
    if (running === undefined) return;
    this.#running = undefined;
    clearTimeout(running.yields);
    clearTimeout(running.ends);
    if (!this.isEnded) this.#launched.share.rest();
    running.task.signal?.removeEventListener('abort', this.#cancel);
    running.abort.abort();
    running.result.resolve(result);
  }
}

/** P2. */
function checkUsed({ fuel, memoryBytes }: Used, { limits }: JailTask): void {
  if (fuel > limits.fuel || memoryBytes > limits.memoryBytes)
    throw new FrameError('it used more than it could');
}
