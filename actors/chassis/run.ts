/**
 * One run of a component, as it happens and as it is done again.
 *
 * R1  The same component, input, limits, seed, clock and answers give the same output and the same fuel: what the world
 *     answered is kept with the run, and {@link rerun} gives it again instead of asking anybody.
 * R2  What becomes of a run is data. Only what says nothing of a run (no place, a node that stops) is thrown.
 * R3  Answers are bounded: a run that keeps more than {@link TRANSCRIPT_BYTES_MAX} of them gets no further ones.
 */
import { hash } from 'node:crypto';
import type { GatedComponent } from '#runtime/sandbox/gate/types';
import type { LiveGrant } from '#runtime/sandbox/grants/live';
import type { HostAnswer, HostCall, JailResult, JailTask } from '#runtime/sandbox/jail/types';
import type { BlobStore } from '#runtime/shard/ports';
import { FabricError } from '#schemas/fabric-error';
import {
  blobName,
  faultOf,
  INPUT_BYTES_MAX,
  LOG_CHARS_MAX,
  LOG_LINES_MAX,
  type SandboxBegin,
  type SandboxRun,
} from '#schemas/sandbox';
import { bytesOf, stored, storedBytes } from './blobs.ts';
import { chassisErrors } from './errors.ts';
import { answersOf, Transcript } from './transcript.ts';
import type { World } from './world.ts';

/** What a run needs of the node. */
export interface Floor {
  readonly blobs: Pick<BlobStore, 'get' | 'put'>;
  readonly world: World;
  /** What the jail is made of. */
  readonly level: string;
  /** The component, let in by the gate. */
  component(sha256: string): Promise<GatedComponent>;
  run(task: JailTask): Promise<JailResult>;
}

export interface Order {
  readonly id: string;
  readonly task: SandboxBegin;
  /** What the guest's clock shows. */
  readonly at: number;
  readonly signal: AbortSignal;
}

const TRANSCRIPT_BYTES_MAX = 16 * 2 ** 20;
const MESSAGE_CHARS_MAX = 4_000;

/** What a run came to; the same both times. */
export interface Reckoning {
  readonly exit: string;
  readonly fuel: number;
  readonly hostCalls: number;
  readonly outputSha256: string | null;
}

export async function runTask(order: Order, grant: LiveGrant, floor: Floor): Promise<SandboxRun> {
  const { task } = order;
  const transcript = new Transcript();
  const result = await inJail(order, floor, async (call, signal) => {
    const answer = await answered(order, call, { grant, transcript, world: floor.world, signal });
    transcript.add(call, answer);
    return answer;
  });
  const { blobs, level } = floor;
  const output = result.kind === 'done' ? await stored(blobs, result.output) : null;
  const error = result.kind === 'failed' ? result.error : undefined;
  return {
    ...reckoned(result),
    fault: error === undefined ? null : faultOf(error.code),
    retryable: error?.retryable ?? false,
    message: error?.message.slice(0, MESSAGE_CHARS_MAX) ?? null,
    component: task.component,
    at: order.at,
    memoryBytes: result.memoryBytes,
    ms: result.ms,
    output,
    transcript: transcript.length === 0 ? null : await kept(blobs, transcript.encode()),
    logs: result.logs
      .slice(-LOG_LINES_MAX)
      .map(({ level: name, text }) => `${name}: ${text}`.slice(0, LOG_CHARS_MAX)),
    level,
  };
}

/** R1. Throws `sandbox_missing_object` where what it was made of is gone. */
export async function rerun(order: Order, run: SandboxRun, floor: Floor): Promise<Reckoning> {
  const { transcript } = run;
  const answers =
    transcript === null
      ? answersOf(new Transcript().encode())
      : answersOf(await storedBytes(floor.blobs, blobName(transcript.sha256), transcript.sha256));
  return reckoned(await inJail(order, floor, async (call) => answers(call)));
}

async function inJail(
  { task, at, signal }: Order,
  floor: Floor,
  host: (call: HostCall, signal: AbortSignal) => Promise<HostAnswer>,
): Promise<JailResult> {
  const { component: sha256, input, limits, seed, tenant } = task;
  const component = await floor.component(sha256);
  const bytes = await inputOf(floor.blobs, input);
  return await floor.run({
    component,
    input: bytes,
    limits,
    seed: BigInt(seed),
    now: at,
    tenant,
    host,
    signal,
  });
}

/** Throws `task_input_exceeded`, where its size is not what the task says, too. */
async function inputOf(blobs: Floor['blobs'], input: SandboxBegin['input']): Promise<Uint8Array> {
  const bytes = await bytesOf(blobs, input);
  const bytesMax = 'sha256' in input ? Math.min(input.bytes, INPUT_BYTES_MAX) : INPUT_BYTES_MAX;
  if (bytes.byteLength <= bytesMax) return bytes;
  throw new FabricError(
    chassisErrors.task_input_exceeded,
    `The input has ${bytes.byteLength} bytes, of which ${bytesMax} may be`,
  );
}

async function answered(
  { id, task }: Order,
  call: HostCall,
  place: {
    readonly grant: LiveGrant;
    readonly transcript: Transcript;
    readonly world: World;
    readonly signal: AbortSignal;
  },
): Promise<HostAnswer> {
  const { grant, transcript, world, signal } = place;
  const verdict = grant.check(call);
  if (!verdict.ok) return { ok: false, code: verdict.kind.code, message: verdict.message };
  if (transcript.bytes > TRANSCRIPT_BYTES_MAX) {
    return {
      ok: false,
      code: 'grant_quota_exceeded',
      message: 'the answers of this run are too many to keep',
    }; // R3.
  }
  const { headers = {} } = verdict;
  return await world.answer(call, { task: id, tenant: task.tenant, at: transcript.length, headers, signal });
}

function reckoned(result: JailResult): Reckoning {
  return {
    exit: result.kind === 'done' ? 'done' : result.error.code,
    fuel: result.fuel,
    hostCalls: result.hostCalls,
    outputSha256: result.kind === 'done' ? hash('sha256', result.output) : null,
  };
}

async function kept(blobs: Pick<BlobStore, 'put'>, bytes: Uint8Array) {
  const sha256 = hash('sha256', bytes);
  await blobs.put(blobName(sha256), bytes);
  return { sha256, bytes: bytes.byteLength };
}
