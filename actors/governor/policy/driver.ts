/**
 * Driver `policy`: compiles the version that the policy actor wants, writes it for all nodes, and guards the doors of its
 * own by whatever version stands there.
 *
 * D1  A node opens no shard before it knows the version in force: it stands in a bucket, not in a shard.
 * D2  Of two versions the higher counts, in whichever order they come.
 * D3  A version that this node cannot read is in force all the same: then nothing that it might speak of is let in.
 */
import { JetStreamApiError } from '@nats-io/jetstream';
import { type KvEntry, Kvm } from '@nats-io/kv';
import { z } from 'zod';
import { watchRows } from '#runtime/bus/kv-watch';
import { tidyJetStream } from '#runtime/bus/tidy-jetstream';
import { type Driver, type DriverRealm, terminal } from '#runtime/effects/driver';
import { FabricError } from '#schemas/fabric-error';
import { POLICY_ACTOR, POLICY_CHARS_MAX, POLICY_DRIVER } from '#schemas/policy';
import { policyErrors } from './errors.ts';
import { type InForce, PolicyGuard } from './guard.ts';
import type { compilePolicy, Policy } from './policy.ts';
import type { SessionBook } from './sessions.ts';

const KEY = 'active';
/** Another node writes the same version, or a higher one. */
const WRITE_ATTEMPTS_MAX = 8;
const WRONG_LAST_SEQUENCE = 10_071;

const rowSchema = z.object({ version: z.int().min(1), text: z.string().max(POLICY_CHARS_MAX) });
const inputSchema = rowSchema.extend({ source: z.string().nullable().default(null) });

export function policyDriver(options: unknown): Driver {
  const { file } = z.object({ file: z.string().optional() }).parse(options ?? {});
  let realm: DriverRealm | undefined;
  let inForce: InForce | undefined;
  let book: SessionBook | undefined;
  let changes: Promise<void> = Promise.resolve();
  let changed = Promise.withResolvers<void>();

  const guard = new PolicyGuard({
    inForce: () => inForce,
    isKind: (type) => realm?.isKind(type) === true,
    sessions: () => book?.facts,
  });

  /** One after the other, so that none is overtaken while it compiles. */
  function take(_: string, entry: KvEntry | undefined): void {
    changes = changes.then(() => activate(entry));
  }

  async function activate(entry: KvEntry | undefined): Promise<void> {
    if (entry === undefined || realm === undefined) return;
    const { logger, nc, subjects } = realm;
    const row = rowSchema.safeParse(jsonOf(entry));
    const version = row.success ? row.data.version : (inForce?.version ?? 0) + 1;
    if (inForce !== undefined && version <= inForce.version) return; // D2
    const before = inForce;
    try {
      if (!row.success)
        throw new FabricError(policyErrors.bad_policy, 'What stands in the bucket is no policy');
      const policy = await compile(row.data.text, { name: `version ${version}` });
      if (policy.uses.facts && book === undefined) {
        // It follows the sessions of the realm: most nodes have no policy that asks about them.
        const { SessionBook: Book } = await import('./sessions.ts');
        book = new Book(nc, subjects, logger);
      }
      inForce = { version, policy };
      logger.info({ version, sha256: policy.sha256 }, 'policy.in_force');
    } catch (thrown) {
      inForce = { version, policy: undefined }; // D3
      logger.error({ version, error: (thrown as Error).message }, 'policy.unreadable');
    }
    before?.policy?.[Symbol.dispose]();
    changed.resolve();
    changed = Promise.withResolvers();
  }

  async function write({ nc, subjects }: DriverRealm, row: z.infer<typeof rowSchema>): Promise<void> {
    const kv = await new Kvm(tidyJetStream(nc)).open(subjects.buckets.policy);
    for (let attempt = 1; attempt <= WRITE_ATTEMPTS_MAX; attempt += 1) {
      const present = await kv.get(KEY);
      const known = present === null ? undefined : rowSchema.safeParse(jsonOf(present)).data;
      if (known !== undefined && known.version >= row.version) return; // D2
      try {
        await (present === null
          ? kv.create(KEY, JSON.stringify(row))
          : kv.update(KEY, JSON.stringify(row), present.revision));
        return;
      } catch (thrown) {
        if (!(thrown instanceof JetStreamApiError) || thrown.code !== WRONG_LAST_SEQUENCE) throw thrown;
      }
    }
    throw new FabricError(policyErrors.policy_not_installed, 'Others write the policy all the time');
  }

  return {
    name: POLICY_DRIVER,
    guard: { check: (arrival) => guard.check(arrival) },
    validate: (input) => void inputSchema.parse(input),
    async open(given) {
      realm = given;
      const kv = await new Kvm(tidyJetStream(given.nc)).open(given.subjects.buckets.policy);
      const rows = await watchRows(given.nc, kv, '>', take);
      await changes; // D1
      const watching =
        file === undefined ? undefined : (await import('./watch-file.ts')).watchPolicyFile(file, given);
      return {
        async [Symbol.asyncDispose]() {
          await watching?.[Symbol.asyncDispose]();
          await rows.close();
          await changes;
          await book?.[Symbol.asyncDispose]();
          inForce?.policy?.[Symbol.dispose]();
          inForce = undefined;
        },
      };
    },
    async run({ actor, input, signal }) {
      if (realm === undefined)
        throw new FabricError(policyErrors.policy_not_installed, 'The node is starting');
      if (actor !== POLICY_ACTOR)
        throw new FabricError(policyErrors.policy_denied, `${actor} has no business with the policy`);
      const { version, text, source } = inputSchema.parse(input);
      let sha256: string;
      try {
        using policy = await compile(text, { name: source ?? `version ${version}` });
        ({ sha256 } = policy);
      } catch (thrown) {
        throw terminal(thrown);
      }
      await write(realm, { version, text });
      // So that whoever applied it finds it in force where it was applied.
      while ((inForce?.version ?? 0) < version && !signal.aborted) {
        await Promise.race([changed.promise, aborted(signal)]);
      }
      signal.throwIfAborted();
      return { version, sha256 };
    },
  };
}

/** The compiler is loaded with the first policy: most realms have none. */
async function compile(...given: Parameters<typeof compilePolicy>): Promise<Policy> {
  const policies = await import('./policy.ts');
  return await policies.compilePolicy(...given);
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}

/** Undefined where it is no JSON: anybody who may write the bucket may have written this. */
function jsonOf(entry: KvEntry): unknown {
  try {
    return entry.json();
  } catch {
    return undefined;
  }
}
