/**
 * Driver `process`: runs a program to its end.
 *
 * X1  Only programs that the config lists, without a shell: arguments are never interpreted.
 * X2  The child sees no variable of the node's environment but those granted, and its key in INFRAFABRIC_EFFECT_KEY.
 * X3  Its output is bounded: what is beyond is read and dropped, and marked.
 * X4  At the time limit the whole group gets SIGTERM, then SIGKILL; it never outlives the node (G2).
 * X5  It is over when the program is, even where something that left its group holds on to its output.
 */
import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, isAbsolute, join } from 'node:path';
import type { Readable } from 'node:stream';
import { z } from 'zod';
import { FabricError } from '#schemas/fabric-error';
import type { Driver, EffectCall } from './driver.ts';
import { effectErrors } from './errors.ts';
import { startGroup } from './process-group.ts';
import { resolveSecrets } from './secrets.ts';

const DRIVER = 'process';

export interface ProcessDriverOptions {
  /** Programs as inputs name them: a name found on the node's PATH, or an absolute path. None by default. */
  readonly allow?: readonly string[];
  /** Variables of the node's environment that `env` may name as `${env:NAME}`. */
  readonly allowEnv?: readonly string[];
  /** Of stdout and stderr each. */
  readonly outputBytesMax?: number;
  /** Name of the driver in the config, where another one runs processes by this. */
  readonly driver?: string;
  /** Between SIGTERM and SIGKILL. */
  readonly termGraceMs?: number;
}

export const KEY_VARIABLE = 'INFRAFABRIC_EFFECT_KEY';

/** What a machine gives as input. */
export const processInputSchema = z.strictObject({
  command: z.string().min(1),
  args: z.array(z.string().regex(/^[^\0]*$/)).default([]),
  stdin: z.union([z.string(), z.instanceof(Uint8Array)]).optional(),
  cwd: z.string().min(1).optional(),
  env: z.record(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/), z.string().regex(/^[^\0]*$/)).default({}),
});

/** What a machine hears in `onDone`: a code other than 0 is an outcome, not an error. */
export interface ProcessOutput {
  /** Null where a signal ended it. */
  readonly code: number | null;
  readonly signal?: string;
  readonly stdout: string;
  readonly stderr: string;
  /** True where a stream was cut at its bound. */
  readonly truncated?: boolean;
}

/** Two streams of this fit in the 128 KiB that an effect may put out. */
const OUTPUT_BYTES_MAX = 48 * 1024;
const TERM_GRACE_MS = 2_000;
/** X5: for what the program wrote last. */
const OUTPUT_GRACE_MS = 1_000;
const TIMEOUT_MS = 300_000;
/** A process each: more than this at a time and the machine is busy switching. */
const CONCURRENCY_MAX = 16;

export function processDriver(options: ProcessDriverOptions = {}): Driver {
  return {
    name: DRIVER,
    timeoutMs: TIMEOUT_MS,
    concurrencyMax: CONCURRENCY_MAX,
    validate: (input) => void readInput(input),
    run: (call) => runProcess(call, options),
  };
}

function readInput(input: unknown) {
  const { success, data, error } = processInputSchema.safeParse(input);
  if (!success) throw new FabricError(effectErrors.effect_bad_input, z.prettifyError(error));
  return data;
}

async function runProcess(call: EffectCall, options: ProcessDriverOptions): Promise<ProcessOutput> {
  const input = readInput(call.input);
  const file = programFile(input.command, options.allow ?? [], options.driver ?? DRIVER);
  const env: Record<string, string> = {};
  for (const [name, value] of Object.entries(input.env)) {
    env[name] = resolveSecrets(value, options.allowEnv ?? []);
  }
  env[KEY_VARIABLE] = call.key; // X2
  call.signal.throwIfAborted();
  // The system names the program in both cases.
  if (input.cwd !== undefined && !isFolder(input.cwd)) {
    const message = `${input.command} did not start: there is no folder ${input.cwd}`;
    throw new FabricError(effectErrors.process_not_started, message);
  }

  const group = startGroup(file, input.args, { cwd: input.cwd, env });
  const { child } = group;
  const bytesMax = options.outputBytesMax ?? OUTPUT_BYTES_MAX;
  const stdout = collect(child.stdout, bytesMax);
  const stderr = collect(child.stderr, bytesMax);
  // A program may end without reading its input.
  child.stdin?.on('error', () => undefined);
  child.stdin?.end(input.stdin ?? '');

  let killTimer: NodeJS.Timeout | undefined;
  let outputTimer: NodeJS.Timeout | undefined;
  const stop = (): void => {
    group.signal('SIGTERM'); // X4
    killTimer = setTimeout(() => group.signal('SIGKILL'), options.termGraceMs ?? TERM_GRACE_MS);
  };
  call.signal.addEventListener('abort', stop, { once: true });
  // What it left running holds the pipes open: end it when the program itself has ended.
  child.once('exit', () => {
    group.release();
    outputTimer = setTimeout(() => {
      child.stdout?.destroy();
      child.stderr?.destroy();
    }, OUTPUT_GRACE_MS);
  });
  try {
    const { code, signal } = await ended(child, input.command);
    call.signal.throwIfAborted();
    return {
      code,
      ...(signal !== null && { signal }),
      stdout: stdout.text(),
      stderr: stderr.text(),
      ...((stdout.cut() || stderr.cut()) && { truncated: true }),
    };
  } finally {
    call.signal.removeEventListener('abort', stop);
    clearTimeout(killTimer);
    clearTimeout(outputTimer);
  }
}

function ended(child: ReturnType<typeof startGroup>['child'], command: string) {
  return new Promise<{ code: number | null; signal: string | null }>((resolve, reject) => {
    child.once('close', (code, signal) => resolve({ code, signal }));
    child.once('error', (cause) => {
      if (child.pid !== undefined) return;
      reject(
        new FabricError(effectErrors.process_not_started, `${command} did not start: ${cause.message}`, {
          cause,
        }),
      );
    });
  });
}

/** X1. Throws `process_refused`, `process_not_started`. */
function programFile(command: string, allow: readonly string[], driver: string): string {
  if (!allow.includes(command)) {
    const add = `drivers: {${driver}: {allow: [${command}]}}`;
    const help = `Add the command to the realm config, \`${add}\`, and start the node again.`;
    throw new FabricError({ ...effectErrors.process_refused, help }, `Running ${command} is not allowed`, {
      details: { command, add },
    });
  }
  if (isAbsolute(command)) return command;
  const { PATH = '' } = process.env;
  // A relative path would depend on where the node was started.
  const folders = command.includes('/') ? [] : PATH.split(delimiter).filter(isAbsolute);
  const file = folders.map((folder) => join(folder, command)).find(isProgram);
  if (file === undefined) {
    throw new FabricError(effectErrors.process_not_started, `${command} was not found on the node's PATH`);
  }
  return file;
}

function isProgram(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}

/** X3 */
function collect(stream: Readable | null, bytesMax: number) {
  const chunks: Buffer[] = [];
  let left = bytesMax;
  let cut = false;
  stream?.on('data', (chunk: Buffer) => {
    if (chunk.byteLength > left) cut = true;
    if (left > 0) chunks.push(chunk.subarray(0, left));
    left = Math.max(0, left - chunk.byteLength);
  });
  const text = (): string => {
    const whole = Buffer.concat(chunks).toString('utf8');
    if (Buffer.byteLength(whole) <= bytesMax) return whole;
    // Bytes that are no text grow threefold when they are shown as U+FFFD.
    cut = true;
    return new TextDecoder().decode(Buffer.from(whole).subarray(0, bytesMax), { stream: true });
  };
  return { text, cut: () => cut };
}
