/** Streams and their shape, as `doctor` sees them. A node checks every field when it starts; this is for a glance. */
import { JetStreamApiError, jetstreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/nats-core';
import type { Subjects } from '#runtime/bus/subjects';
import type { Check } from './render/checks.ts';
import { count, plural } from './render/format.ts';

export async function streamsCheck(nc: NatsConnection, subjects: Subjects, shards: number): Promise<Check> {
  const jsm = await jetstreamManager(nc);
  const { log, inbox, dead } = subjects.streams;
  const seen: string[] = [];
  for (const stream of [log, inbox, dead]) {
    try {
      const { config, state } = await jsm.streams.info(stream);
      const partitions = /partition\((\d+),/.exec(config.subject_transform?.dest ?? '')?.[1];
      if (stream === inbox && Number(partitions) !== shards) {
        return {
          name: 'streams',
          state: 'fail',
          seen: `${stream} spreads over ${partitions ?? 'no'} shards, the nodes run ${shards}`,
          todo: 'Stop the realm and set `shards` in the config to what the stream has: it can never change.',
        };
      }
      seen.push(`${stream} ${count(state.messages)}`);
    } catch (error) {
      if (!(error instanceof JetStreamApiError)) throw error;
      const todo = 'Start the realm again: it makes what is missing.';
      return { name: 'streams', state: 'fail', seen: `${stream}: ${error.message}`, todo };
    }
  }
  return { name: 'streams', state: 'ok', seen: `${seen.join(', ')}; ${plural(shards, 'shard')}` };
}
