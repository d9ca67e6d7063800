/**
 * Runs a replay's machines in a process of their own that may read code and do nothing else: no writing, no network, no
 * children, no environment. A machine that is not pure can do no harm there, and what it tried is told.
 *
 * J1  Node's permission model grants it the code (code-paths.ts) and nothing else.
 * J2  What the permission model does not cover is switched off where Node has a flag for that, which no code gets round;
 *     the rest the process gives up itself before any machine is loaded (confine.ts).
 * J3  It is answered so many questions at a time: a machine may speak on its channel.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fromWireError } from '#runtime/node/api';
import type { LogMessage, LogReader } from '#runtime/witness/log-reader';
import { FabricError } from '#schemas/fabric-error';
import { codePaths } from './code-paths.ts';
import { replayErrors } from './errors.ts';
import type { BlobReader } from './replayer.ts';
import type { ReplayStep, ReplaySummary } from './report.ts';
import type { FromWorker, ReplayOrder, ToWorker } from './worker.ts';

/** Commits on their way to the process, and bytes of them. */
const BATCH_MAX = 128;
const BATCH_BYTES_MAX = 1024 * 1024;
/**
 * MiB. Nearly all that a step makes is garbage by the next commit: in a young generation four times V8's own, less of it
 * is copied before that shows, and a long log is through in a tenth less time.
 */
const YOUNG_GENERATION_MIB = 64;
/** J2: SQLite opens files by itself. Where this Node knows the flag. */
const SWITCHED_OFF = [
  '--no-experimental-sqlite',
  '--no-experimental-webstorage',
  '--no-experimental-ffi',
  '--no-addons',
  '--disable-sigusr1',
].filter((flag) => process.allowedNodeEnvironmentFlags.has(flag));
/** J3: a fold asks for one body at a time, a snapshot for a few pages. */
const QUESTIONS_MAX = 256;
/** Last lines of what the process wrote. */
const STDERR_CHARS_MAX = 4_000;

export interface JailOptions {
  /** Program and arguments that serve a replay. */
  readonly program: readonly string[];
  readonly packageRoot: string;
  readonly order: ReplayOrder;
  /** Data folder of the realm, where it is known here: nothing of it can be read. */
  readonly dataDir?: string | undefined;
  readonly log: Pick<LogReader, 'read'>;
  /** The log begins here. */
  readonly first: number;
  readonly through: number;
  /** False once a message is past what is wanted. */
  readonly wanted?: (message: LogMessage) => boolean;
  readonly blobs: BlobReader;
  readonly onSteps?: (steps: readonly ReplayStep[]) => Promise<void> | void;
  readonly progress?: (commits: number) => void;
  readonly signal: AbortSignal;
}

/** Throws `replay_no_start`, `replay_broken`, `replay_child_failed`, `what_if_unused`, and what reading throws. */
export async function replayInJail(options: JailOptions): Promise<ReplaySummary> {
  const { log, first, through, signal, wanted } = options;
  await using jail = new Jail(options);
  const { from } = await jail.order(options.order);
  if (from < first) {
    throw new FabricError(replayErrors.replay_no_start, `The log begins with sequence ${first}`, {
      details: { first, needed: from },
    });
  }
  let commits = 0;
  const took = async ({ reply, count }: Sent): Promise<boolean> => {
    const { steps, divergence } = await reply;
    if (steps.length > 0) await options.onSteps?.(steps);
    commits += count;
    options.progress?.(commits);
    signal.throwIfAborted();
    return divergence === undefined;
  };
  // One batch is read and sent while the process steps the one before: neither of them waits for the other.
  let ahead: Sent | undefined;
  reading: for await (const messages of log.read(from, through, signal)) {
    for (const batch of batchesOf(messages)) {
      const some = wanted === undefined ? batch : batch.filter(wanted);
      const before = ahead;
      ahead = { reply: jail.commits(some), count: some.length };
      // It is looked at when its turn comes.
      ahead.reply.catch(() => undefined);
      if (before !== undefined && !(await took(before))) return await jail.end();
      if (some.length < batch.length) break reading;
    }
  }
  if (ahead !== undefined) await took(ahead);
  return await jail.end();
}

/** Commits that are on their way. */
interface Sent {
  readonly reply: Promise<Reply<'took'>>;
  readonly count: number;
}

function* batchesOf(messages: readonly LogMessage[]): Generator<readonly LogMessage[]> {
  let batch: LogMessage[] = [];
  let bytes = 0;
  for (const message of messages) {
    batch.push(message);
    bytes += message.bytes.byteLength;
    if (batch.length < BATCH_MAX && bytes < BATCH_BYTES_MAX) continue;
    yield batch;
    batch = [];
    bytes = 0;
  }
  if (batch.length > 0) yield batch;
}

type Reply<K extends FromWorker['kind']> = Extract<FromWorker, { kind: K }>;

class Jail {
  readonly #child: ChildProcess;
  readonly #blobs: BlobReader;
  readonly #ended = Promise.withResolvers<never>();
  /** Who waits for an answer: they come in the order of what was asked. */
  readonly #waiting: PromiseWithResolvers<FromWorker>[] = [];
  #questions = 0;
  #stderr = '';

  constructor({ program, packageRoot, order, dataDir, blobs }: JailOptions) {
    const [file = '', ...args] = program;
    const readable = codePaths([packageRoot, order.baseDir, order.whatIfDir ?? order.baseDir], dataDir);
    const rights = ['--permission', ...readable.map((path) => `--allow-fs-read=${path}`)];
    const flags = [...SWITCHED_OFF, '--no-warnings', `--max-semi-space-size=${YOUNG_GENERATION_MIB}`];
    const child = spawn(process.execPath, [...flags, ...rights, file, ...args], {
      // Nothing of the environment: secrets of the shell are none of a machine's business.
      env: { NO_COLOR: '1' },
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      serialization: 'advanced',
    });
    this.#child = child;
    this.#blobs = blobs;
    this.#ended.promise.catch(() => undefined);
    child.stderr?.on('data', (chunk: Buffer) => {
      this.#stderr = (this.#stderr + chunk.toString()).slice(-STDERR_CHARS_MAX);
    });
    child.on('message', (message: FromWorker) => this.#take(message));
    child.on('error', (error) => this.#ended.reject(this.#failed(error.message)));
    child.on('exit', (code, at) =>
      this.#ended.reject(this.#failed(`it ended with ${at ?? `exit code ${code}`}`)),
    );
  }

  order(order: ReplayOrder): Promise<Reply<'ready'>> {
    return this.#ask({ kind: 'order', order }, 'ready');
  }

  commits(batch: readonly LogMessage[]): Promise<Reply<'took'>> {
    return this.#ask({ kind: 'commits', batch }, 'took');
  }

  async end(): Promise<ReplaySummary> {
    return (await this.#ask({ kind: 'end' }, 'done')).summary;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { pid, exitCode, signalCode } = this.#child;
    if (pid === undefined || exitCode !== null || signalCode !== null) return;
    const ended = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await ended;
  }

  async #ask<K extends FromWorker['kind']>(message: ToWorker, kind: K): Promise<Reply<K>> {
    const waiting = Promise.withResolvers<FromWorker>();
    this.#waiting.push(waiting);
    this.#child.send(message, (error) => {
      if (error !== null) waiting.reject(this.#failed(error.message));
    });
    const reply = await Promise.race([waiting.promise, this.#ended.promise]);
    if (reply.kind === 'failed') throw fromWireError(reply.error);
    if (reply.kind !== kind) throw this.#failed(`it answered ${reply.kind} instead of ${kind}`);
    return reply as Reply<K>;
  }

  #take(message: FromWorker): void {
    switch (message.kind) {
      case 'blob': {
        const { name } = message;
        this.#answer(async () => ({ kind: 'blob', name, bytes: await this.#blobs.get(name) }));
        return;
      }
      case 'list': {
        const { prefix } = message;
        this.#answer(async () => ({ kind: 'names', prefix, names: await this.#blobs.list(prefix) }));
        return;
      }
      default:
        this.#waiting.shift()?.resolve(message);
    }
  }

  #answer(find: () => Promise<ToWorker>): void {
    if (this.#questions >= QUESTIONS_MAX) {
      this.#ended.reject(this.#failed('it asks for too much at once'));
      return;
    }
    this.#questions += 1;
    find()
      .then(
        (answer) => this.#child.connected && this.#child.send(answer),
        (error: unknown) => this.#waiting[0]?.reject(error),
      )
      .finally(() => {
        this.#questions -= 1;
      });
  }

  #failed(why: string): FabricError {
    const tail = this.#stderr.trimEnd();
    return new FabricError(
      replayErrors.replay_child_failed,
      [`The process that replays failed: ${why}`, ...(tail === '' ? [] : [tail])].join('\n'),
    );
  }
}
