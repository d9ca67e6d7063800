/** The kernel as a subject of measurement. */
import { usageOf } from './process.ts';
import { type Durability, startRealm } from './realm.ts';
import type { Subject } from './subject.ts';

/** `batching` false: a message for each ask, as the limit has it. */
export async function kernelSubject(
  durability: Durability,
  batching: boolean,
  profileDir?: string,
): Promise<Subject> {
  const realm = await startRealm({ durability, batching, profileDir });
  return {
    ask: (actor) => realm.client.ask(`counter/${actor}`, { type: 'inc' }),
    async cpu() {
      const serverUs = realm.serverPid === undefined ? undefined : usageOf(realm.serverPid)?.cpuUs;
      return { loopUs: (await realm.node.usage()).cpuUs, serverUs };
    },
    [Symbol.asyncDispose]: () => realm[Symbol.asyncDispose](),
  };
}
