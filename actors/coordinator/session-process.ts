/**
 * Driver `session-process`: runs the process of a session for as long as it lives, with what it needs to join the realm.
 *
 * P1  Only programs that the config lists, without a shell, with no variable of the node but those granted; it ends with
 *     the node and with the actor that wants it, whatever it started itself (X1 to X4 of runtime/effects/process.ts).
 * P2  Credentials are put in at the last moment: neither log nor template holds them. In a secure realm a session gets the
 *     key of its own address and no other. What is kept of its output holds none of them either.
 * P3  A session has one process on a node at a time: who comes after one that is being ended waits until it has.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isStillAlive } from '#runtime/bus/pid';
import { withToken } from '#runtime/bus/servers';
import { type Driver, type DriverRealm, type EffectCall, terminal } from '#runtime/effects/driver';
import { type ProcessDriverOptions, type ProcessOutput, processDriver } from '#runtime/effects/process';
import { keyName, seedFile } from '#runtime/keys/key-store';
import type { RunFile } from '#runtime/node/api';
import { PROCESSES_MAX_DEFAULT } from '#schemas/config';
import { FabricError } from '#schemas/fabric-error';
import { SESSION_TYPE } from '#schemas/session';
import { type RunnerInput, runnerInputSchema } from '#schemas/swarm';
import { coordinatorErrors } from './errors.ts';
import { hidden, SECRET_BYTES_MAX, type Secrets } from './hidden.ts';
import { serveProcesses } from './processes.ts';

/** Of stdout and stderr each, kept in the log when the process has ended: what an operator looks at first. */
const OUTPUT_BYTES_MAX = 4_096;

const DRIVER = 'session-process';

export interface SessionProcessOptions extends Pick<ProcessDriverOptions, 'allow' | 'allowEnv'> {
  readonly processesMax?: number;
}

export function sessionProcessDriver(options: SessionProcessOptions = {}): Driver {
  const processes = processDriver({
    ...options,
    driver: DRIVER,
    outputBytesMax: OUTPUT_BYTES_MAX + SECRET_BYTES_MAX,
  });
  const max = options.processesMax ?? PROCESSES_MAX_DEFAULT;
  const runs = new Set<Run>();
  let realm: DriverRealm | undefined;

  async function runIn(
    { dataDir }: DriverRealm,
    input: RunnerInput,
    call: EffectCall,
  ): Promise<ProcessOutput> {
    const { command, args, cwd } = input;
    const env = { ...input.env, ...surroundings(input, dataDir) };
    const started = { command, args, env, ...(cwd !== undefined && { cwd }) };
    const secrets = secretsOf(input, options.allowEnv ?? [], dataDir);
    return told((await processes.run({ ...call, input: started })) as ProcessOutput, secrets);
  }

  return {
    name: DRIVER,
    // An agent may work for days: no slot, no time limit; `processesMax` is the bound.
    waits: true,
    // A node that is just starting.
    retry: { attempts: 100, firstDelayMs: 100, maxDelayMs: 2_000 },
    validate: (input) => void runnerInputSchema.parse(input),
    async open(given) {
      realm = given;
      return serveProcesses(given, () => ({
        running: [...runs].filter(({ call }) => !call.signal.aborted).map(({ session }) => session),
        ending: [...runs].filter(({ call }) => call.signal.aborted).map(({ session }) => session),
      }));
    },
    async run(call): Promise<ProcessOutput> {
      const input = runnerInputSchema.parse(call.input);
      if (realm === undefined) throw new Error('invariant: drivers are opened before they run');
      for (const earlier of [...runs].filter(({ session }) => session === input.session)) await earlier.over; // P3
      call.signal.throwIfAborted();
      if (runs.size >= max) {
        throw terminal(
          new FabricError(coordinatorErrors.too_many_processes, `${max} session processes run on this node`),
        );
      }
      const over = Promise.withResolvers<void>();
      const run = { session: input.session, call, over: over.promise };
      runs.add(run);
      try {
        return await runIn(realm, input, call);
      } finally {
        runs.delete(run);
        over.resolve();
      }
    },
  };
}

/** A process, from its start to its end. */
interface Run {
  readonly session: string;
  readonly call: EffectCall;
  readonly over: Promise<void>;
}

/** P2. */
function surroundings(input: RunnerInput, dataDir: string): Record<string, string> {
  const { url, token, prefix, realm, secure } = runOf(dataDir);
  const session = `${SESSION_TYPE}/${input.session}`;
  return {
    NATS_URL: secure === undefined ? withToken(url, token) : url,
    INFRAFABRIC_REALM: realm,
    INFRAFABRIC_PREFIX: prefix,
    INFRAFABRIC_SESSION: session,
    INFRAFABRIC_SWARM: input.swarm,
    INFRAFABRIC_CAPABILITIES: input.capabilities.join(','),
    ...(secure === undefined ? { INFRAFABRIC_DATA: dataDir } : keyOf(session, dataDir)),
    ...(secure?.ca !== undefined && { INFRAFABRIC_CA: secure.ca }),
  };
}

/** P2: what the process knows and the log must not. */
function secretsOf(input: RunnerInput, granted: readonly string[], dataDir: string): Secrets {
  const { token } = runOf(dataDir);
  const asked = Object.values(input.env).join('\n');
  const references = granted.map((name) => [`\${env:${name}}`, process.env[name] ?? ''] as const);
  return new Map([
    ...references.filter(([reference]) => asked.includes(reference)),
    ...(token === undefined ? [] : [['[token]', token] as const]),
  ]);
}

function told(output: ProcessOutput, secrets: Secrets): ProcessOutput {
  const isUnread = output.truncated === true;
  const stdout = hidden(output.stdout, secrets, OUTPUT_BYTES_MAX, isUnread);
  const stderr = hidden(output.stderr, secrets, OUTPUT_BYTES_MAX, isUnread);
  const isCut = [output.stdout, output.stderr].some((text) => Buffer.byteLength(text) > OUTPUT_BYTES_MAX);
  return { ...output, stdout, stderr, ...(isCut && { truncated: true }) };
}

function keyOf(session: string, dataDir: string): Record<string, string> {
  const file = seedFile(dataDir, keyName(session));
  if (existsSync(file)) return { INFRAFABRIC_NKEY: file };
  throw terminal(
    new FabricError(coordinatorErrors.session_key_missing, `There is no key of ${session} here`),
  );
}

/** The node writes it once it is up: an effect that was resumed by its start may be early, and a crashed node left its own,
 * with the same pid in a container. */
function runOf(dataDir: string): RunFile {
  try {
    const run = JSON.parse(readFileSync(join(dataDir, 'run.json'), 'utf8')) as RunFile;
    if (run.pid === process.pid && isStillAlive(run.pid, run.processStartTime)) return run;
  } catch (cause) {
    throw new FabricError(coordinatorErrors.realm_not_up, 'This node is still starting', { cause });
  }
  throw new FabricError(coordinatorErrors.realm_not_up, 'This node is still starting');
}
