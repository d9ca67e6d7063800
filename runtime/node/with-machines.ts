/** A shard's log, before whose commits are read every machine that they may name is there. */
import type { Registry } from '#runtime/machine/registry';
import type { ShardLog } from '#runtime/shard/ports';

/** What this owner wrote itself names what it has: only what was there before it may name any machine. */
export function withMachines(registry: Pick<Registry, 'provide'>, log: ShardLog): ShardLog {
  let isOurs = false;
  return {
    ...log,
    async head(until) {
      const head = await log.head(until);
      if (head !== undefined && !isOurs) await registry.provide();
      return head;
    },
    async append(bytes, expectedSeq) {
      const result = await log.append(bytes, expectedSeq);
      if (result.kind === 'appended') isOurs = true;
      return result;
    },
  };
}
