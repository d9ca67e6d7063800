/**
 * A policy file that a node follows: applied at its start and whenever it changes. What is wrong with it is told, and the
 * version before stays in force.
 */
import { createHash } from 'node:crypto';
import { type FSWatcher, watch } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { basename, dirname, resolve } from 'node:path';
import { Client } from '#runtime/client/client';
import type { DriverRealm } from '#runtime/effects/driver';
import { FabricError } from '#schemas/fabric-error';
import { POLICY_ACTOR, type PolicyActionInput, type PolicyView } from '#schemas/policy';
import { compilePolicy } from './policy.ts';

/** Editors write a file in several steps. */
const SETTLE_MS = 100;
/** The shard of the policy may not run yet, and the file may be there in a moment. */
const AGAIN_MS = 1_000;
/** Who applies it: the node, by its config. */
const FROM = 'node/policy-file';

export function watchPolicyFile(name: string, realm: DriverRealm): AsyncDisposable {
  const { nc, subjects, logger, clock, baseDir } = realm;
  const file = resolve(baseDir, name);
  const client = new Client(nc, { prefix: subjects.prefix, shards: subjects.shards, from: FROM });
  const over = new AbortController();
  let timer: unknown;
  let applied: string | undefined;
  let working: Promise<void> = Promise.resolve();
  let watcher: FSWatcher | undefined;

  function soon(delayMs: number): void {
    clock.clearTimer(timer);
    if (over.signal.aborted) return;
    timer = clock.setTimer(() => {
      working = working.then(look);
    }, delayMs);
  }

  async function look(): Promise<void> {
    if (over.signal.aborted) return;
    try {
      const text = await readFile(file, 'utf8');
      const hash = createHash('sha256').update(text).digest('hex');
      if (hash === applied) return;
      using _policy = await compilePolicy(text, { name });
      await apply(text, hash);
      applied = hash;
    } catch (thrown) {
      if (over.signal.aborted) return;
      const error = (thrown as Error).message;
      const isBad = thrown instanceof FabricError && thrown.code === 'bad_policy';
      logger.error({ file, error }, isBad ? 'policy.file_refused' : 'policy.file_not_applied');
      // What is wrong with a file is mended by a change of it.
      if (!isBad) soon(AGAIN_MS);
    }
  }

  async function apply(text: string, hash: string): Promise<void> {
    const { signal } = over;
    const view = (await client.ask(POLICY_ACTOR, { type: 'policy.get' }, { signal })).reply as PolicyView;
    if (view.active?.sha256 === hash) return;
    const event: PolicyActionInput = {
      type: 'policy.apply',
      text,
      base: view.active?.version ?? 0,
      reason: `${name} says so`,
      source: name,
    };
    await client.ask(POLICY_ACTOR, event, { signal });
    logger.info({ file, sha256: hash }, 'policy.file_applied');
  }

  try {
    // The folder: a file that is replaced is another file.
    watcher = watch(dirname(file), (_event, changed) => {
      if (changed === null || changed === basename(file)) soon(SETTLE_MS);
    });
    watcher.on('error', (error) => logger.error({ file, error: error.message }, 'policy.file_not_watched'));
  } catch (thrown) {
    logger.error({ file, error: (thrown as Error).message }, 'policy.file_not_watched');
  }
  soon(0);
  return {
    async [Symbol.asyncDispose]() {
      over.abort();
      clock.clearTimer(timer);
      watcher?.close();
      await working;
    },
  };
}
