import { jetstreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/nats-core';
import { guardLimits } from '#runtime/archive/drop';
import { Marks } from '#runtime/archive/mark';
import type { Subjects } from '#runtime/bus/subjects';
import { JETSTREAM_TIMEOUT_MS } from '#runtime/bus/tidy-jetstream';

/** Before the streams are compared with what they should be: lowered limits would count as drift. */
export async function healLogLimits(nc: NatsConnection, subjects: Subjects): Promise<void> {
  const jsm = await jetstreamManager(nc, { timeout: JETSTREAM_TIMEOUT_MS });
  const names = await jsm.streams.names().next();
  if (!names.includes(subjects.streams.log) || !names.includes(`KV_${subjects.buckets.witness}`)) return;
  await guardLimits(jsm, subjects.streams.log, await Marks.open(nc, subjects.buckets.witness));
}
