/** A worker in a process of its own: claims a task, says its token, and completes it when it is told to. */
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { openCoordinator } from '#actors/coordinator/client';
import { connect } from '#runtime/client/node';

const [url = '', token = '', from = '', task = '', leaseMs = ''] = process.argv.slice(2);
const client = await connect({ url, token, from });
const coordinator = openCoordinator(client, { leaseMs: Number(leaseMs) });
const result = await coordinator.claim(task);
process.stdout.write(`${JSON.stringify(result.won ? { token: result.claim.token } : result)}\n`);
await once(createInterface({ input: process.stdin }), 'line');
process.stdout.write(`${JSON.stringify(await coordinator.complete(task, { deliverable: from }))}\n`);
await coordinator[Symbol.asyncDispose]();
await client.close();
process.stdin.destroy();
