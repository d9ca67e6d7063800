/** A worker that closes its client, and not its coordinator, while it has a claim. */
import { openCoordinator } from '#actors/coordinator/client';
import { connect } from '#runtime/client/node';

const [url = '', token = '', task = ''] = process.argv.slice(2);
const client = await connect({ url, token, from: 'session/leaving' });
const coordinator = openCoordinator(client);
await coordinator.claim(task);
process.stdout.write(String(await coordinator.renew(task)));
await client.close();
