/** A process that owns a nats-server and does nothing else, for tests that kill it. Arguments: data folder. */
import { lockDataFolder } from '#runtime/bus/lock';
import { EmbeddedServer } from '#runtime/bus/server';
import { locateServer } from '#runtime/node/locate-server';
import { silentLogger } from './nats.ts';

const dataDir = process.argv[2] ?? '';
try {
  lockDataFolder(dataDir);
  const server = await EmbeddedServer.start({
    dataDir,
    binary: await locateServer(process.env),
    strict: false,
    logger: silentLogger,
  });
  process.stdout.write(`${JSON.stringify({ pid: server.pid, url: server.url })}\n`);
} catch (thrown) {
  process.stdout.write(`${JSON.stringify({ error: (thrown as { code?: string }).code })}\n`);
}
