/** A session of a swarm in a secure realm, with what its process is given there: does the one task that it finds. */
import { readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { openCoordinator } from '#actors/coordinator/client';
import { connect } from '#runtime/client/node';

const env = (name: string): string => process.env[name] ?? '';
await using client = await connect({
  url: env('NATS_URL'),
  prefix: env('INFRAFABRIC_PREFIX'),
  from: env('INFRAFABRIC_SESSION'),
  signOn: readFileSync(env('INFRAFABRIC_NKEY')),
  ca: readFileSync(env('INFRAFABRIC_CA'), 'utf8'),
});
await using coordinator = openCoordinator(client);
await coordinator.registerSession({
  capabilities: env('INFRAFABRIC_CAPABILITIES').split(','),
  swarm: env('INFRAFABRIC_SWARM'),
});
for (;;) {
  const [next] = await coordinator.nextFor();
  if (next === undefined) continue;
  const { won } = await coordinator.claim(next.task.id);
  if (won && (await coordinator.complete(next.task.id)).accepted) break;
  await pause(100);
}
await coordinator.closeSession();
