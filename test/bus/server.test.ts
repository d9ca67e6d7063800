import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer, connect as openSocket, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import test, { type ExecutionContext } from 'ava';
import { connectBus } from '#runtime/bus/connection';
import { writePrivateFile } from '#runtime/bus/file';
import { lockDataFolder } from '#runtime/bus/lock';
import { EmbeddedServer, MAX_PAYLOAD_BYTES } from '#runtime/bus/server';
import { compareVersions } from '#runtime/bus/server-version';
import { connectServer } from '#runtime/node/connect-server';
import { locateServer } from '#runtime/node/locate-server';
import { Resources } from '#runtime/node/resources';
import type { Logger } from '#runtime/shard/ports';
import { realmConfigSchema } from '#schemas/config';
import { FabricError } from '#schemas/fabric-error';
import { silentLogger, TestServer } from '../rig/nats.ts';

const OWNER = fileURLToPath(new URL('../rig/server-owner.ts', import.meta.url));

function temporaryFolder(t: ExecutionContext): string {
  const path = mkdtempSync(join(tmpdir(), 'if-bus-'));
  t.teardown(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

async function failureOf(work: Promise<unknown>): Promise<FabricError> {
  const thrown: unknown = await work.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (thrown instanceof FabricError) return thrown;
  throw new Error('a FabricError was expected', { cause: thrown });
}

/** A logger that tells when an event comes by. */
function eventLog(): { logger: Logger; next(event: string): Promise<void> } {
  const waiting = new Map<string, () => void>();
  const saw = (_: object, event: string): void => waiting.get(event)?.();
  return {
    logger: { debug: saw, info: saw, warn: saw, error: saw },
    next: (event) => new Promise((resolve) => waiting.set(event, resolve)),
  };
}

/** A process that nobody has waited for yet has no command line any more. */
function isGone(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8') === '';
  } catch {
    return true;
  }
}

function processGroup(pid: number): string | undefined {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[2];
}

interface Owned {
  readonly pid: number;
  readonly url: string;
  readonly error?: string;
}

async function startOwner(t: ExecutionContext, dataDir: string): Promise<Owned & { process: ChildProcess }> {
  const owner = spawn(process.execPath, [OWNER, dataDir], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.teardown(() => owner.kill('SIGKILL'));
  const [line] = (await once(createInterface({ input: owner.stdout }), 'line')) as [string];
  return { ...(JSON.parse(line) as Owned), process: owner };
}

test('the server is private: loopback, a token, files only their owner reads', async (t) => {
  await using server = await TestServer.start({ strict: true, websocketPort: 0 });
  const config = readFileSync(join(server.dataDir, 'nats-server.conf'), 'utf8');
  t.regex(config, /listen: "127\.0\.0\.1:\d+"/);
  t.regex(config, /sync_interval: always/);
  for (const file of ['nats-server.conf', 'token']) {
    t.is(statSync(join(server.dataDir, file)).mode & 0o777, 0o600, file);
  }
  t.true(Buffer.from(server.token, 'base64url').length >= 32);
  const intruder = await failureOf(
    connectBus({ url: server.url, token: 'guess', name: 'x', logger: silentLogger }),
  );
  t.is(intruder.code, 'server_unreachable');
  t.false(JSON.stringify(intruder.toWire()).includes('guess'));

  const nc = await server.connect('tester');
  t.is(nc.info?.max_payload, MAX_PAYLOAD_BYTES);
  // Not `wsconnect`: the library has one kind of transport a process, and it would be this one from then on.
  const socket = new WebSocket(server.websocketUrl ?? '');
  t.teardown(() => socket.close());
  const [greeting] = (await once(socket, 'message')) as [MessageEvent];
  t.regex(await (greeting.data as Blob).text(), /^INFO .*"jetstream":true/);
});

test('Ctrl-C reaches the node and not its server, which the node ends in order', async (t) => {
  await using server = await TestServer.start();
  t.not(processGroup(server.pid), processGroup(process.pid));
});

test('a relaxed server does not promise an fsync, and keeps its token and data over a restart', async (t) => {
  await using server = await TestServer.start();
  t.notRegex(readFileSync(join(server.dataDir, 'nats-server.conf'), 'utf8'), /sync_interval/);
  const { token, url } = server;
  const nc = await server.connect();
  await (await jetstreamManager(nc)).streams.add({ name: 'KEEP', subjects: ['keep'] });
  await jetstream(nc).publish('keep', 'x');
  await server.stop();
  await server.restart();
  t.deepEqual([server.token, server.url], [token, url]);
  const again = await server.connect();
  t.is((await (await jetstreamManager(again)).streams.info('KEEP')).state.messages, 1);
});

test('a server that is started again has the ports it had; where another has one of them, it takes others', async (t) => {
  const dataDir = temporaryFolder(t);
  const ports = async (): Promise<readonly (string | undefined)[]> => {
    await using server = await TestServer.start({ dataDir, websocketPort: 0 });
    await (await server.connect()).flush();
    return [server.url, server.websocketUrl];
  };
  const first = await ports();
  t.deepEqual(await ports(), first);

  const other = createServer();
  other.listen(Number(new URL(first[0] ?? '').port), '127.0.0.1');
  await once(other, 'listening');
  t.teardown(() => other.close());
  t.not((await ports())[0], first[0]);
});

test('a server that dies by itself comes back on the same port, and connections find it again', async (t) => {
  const { logger, next } = eventLog();
  await using server = await TestServer.start({ logger });
  const nc = await server.connect('survivor', logger);
  const before = server.pid;
  const [died, back] = [next('server_died'), next('bus_reconnected')];
  server.kill();
  await Promise.all([died, back]);
  await nc.flush();
  t.not(server.pid, before);
});

test('a server whose wrapper was killed is ended before another one takes its data', async (t) => {
  const { logger, next } = eventLog();
  await using server = await TestServer.start({ logger });
  await server.connect('survivor', logger);
  const before = server.pid;
  const wrapper = Number(/^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${before}/status`, 'utf8'))?.[1]);
  const back = next('bus_reconnected');
  process.kill(wrapper, 'SIGKILL');
  await back;
  t.true(isGone(before));
  t.not(server.pid, before);
});

test('the server ends when its parent is killed, and the next owner of the folder waits for that', async (t) => {
  const folder = temporaryFolder(t);
  const first = await startOwner(t, folder);
  const socket = openSocket(Number(new URL(first.url).port), '127.0.0.1');
  await once(socket, 'connect');
  socket.resume();
  const closed = once(socket, 'close');
  first.process.kill('SIGKILL');
  const second = await startOwner(t, folder);
  await closed;
  t.is(second.error, undefined);
  t.true(isGone(first.pid));
  t.false(isGone(second.pid));
});

test('a data folder has one living owner; the error names its pid', async (t) => {
  const folder = temporaryFolder(t);
  const owner = await startOwner(t, folder);
  const error = t.throws(() => lockDataFolder(folder), { instanceOf: FabricError });
  t.is(error?.code, 'data_locked');
  t.like(error?.details, { pid: owner.process.pid });
  t.is((await startOwner(t, folder)).error, 'data_locked');
});

test('a lock is free again after release, and never taken twice by one process', (t) => {
  const folder = temporaryFolder(t);
  const lock = lockDataFolder(folder);
  t.throws(() => lockDataFolder(folder), { code: 'data_locked' });
  lock.release();
  lockDataFolder(folder).release();
  t.deepEqual(readdirSync(folder), []);
});

test('the locks of the dead are taken over: ended, pid used again, torn, died while taking over', (t) => {
  const dead = { pid: 2 ** 22 - 3, startedAt: '1' };
  const reused = { pid: process.ppid, startedAt: '1' };
  for (const text of [JSON.stringify(dead), JSON.stringify(reused), '', '{"pid":']) {
    const folder = temporaryFolder(t);
    writeFileSync(join(folder, 'lock'), text);
    writeFileSync(join(folder, `lock.after-${dead.pid}-${dead.startedAt}`), JSON.stringify(reused));
    lockDataFolder(folder).release();
  }
  t.pass();
});

test('of many rivals for a dead owner’s folder exactly one wins', async (t) => {
  const folder = temporaryFolder(t);
  writeFileSync(join(folder, 'lock'), JSON.stringify({ pid: 2 ** 22 - 3, startedAt: '1' }));
  const rivals = await Promise.all(Array.from({ length: 6 }, () => startOwner(t, folder)));
  t.is(rivals.filter((r) => r.error === undefined).length, 1);
  t.is(rivals.filter((r) => r.error === 'data_locked').length, 5);
});

test('a missing, old or failing server is a typed error, and nothing is left running', async (t) => {
  const folder = temporaryFolder(t);
  const start = (binary: string): Promise<FabricError> =>
    failureOf(EmbeddedServer.start({ dataDir: folder, binary, strict: false, logger: silentLogger }));
  t.is((await start(join(folder, 'nothing'))).code, 'server_missing');
  const script = (name: string, text: string): string => {
    writeFileSync(join(folder, name), `#!/bin/sh\n${text}\n`);
    chmodSync(join(folder, name), 0o755);
    return join(folder, name);
  };
  t.is((await start(script('old', 'echo "nats-server: v2.10.9"'))).code, 'server_too_old');
  const broken = await start(
    script('broken', '[ "$1" = --version ] && echo "v2.15.1" && exit; echo "disk on fire" >&2; exit 3'),
  );
  t.is(broken.code, 'server_failed');
  t.regex(broken.message, /code 3[\s\S]*disk on fire/);
});

test('a port that is taken is a typed error when it was asked for', async (t) => {
  await using first = await TestServer.start();
  const error = await failureOf(TestServer.start({ port: Number(new URL(first.url).port) }));
  t.is(error.code, 'server_failed');
  t.regex(error.message, /address already in use/);
});

test('nobody at the address, or a server without JetStream, is a typed error', async (t) => {
  const unreachable = await failureOf(
    connectBus({ url: 'nats://user:secret@127.0.0.1:1', name: 'x', logger: silentLogger }),
  );
  t.is(unreachable.code, 'server_unreachable');
  t.false(`${unreachable.message}${JSON.stringify(unreachable.details)}`.includes('secret'));

  const plain = spawn(await locateServer(process.env), ['-a', '127.0.0.1', '-p', '-1'], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  t.teardown(() => plain.kill());
  let port = '';
  for await (const line of createInterface({ input: plain.stderr })) {
    port = /client connections on 127\.0\.0\.1:(\d+)/.exec(line)?.[1] ?? port;
    if (line.includes('Server is ready')) break;
  }
  const missing = await failureOf(connectBus({ url: `127.0.0.1:${port}`, name: 'x', logger: silentLogger }));
  t.is(missing.code, 'jetstream_missing');
});

test('a server that says nothing in time is asked again: it may be as busy as the machine', async (t) => {
  await using server = await TestServer.start();
  const sockets: Socket[] = [];
  const mute = createServer((socket) => {
    socket.on('error', () => undefined);
    if (sockets.push(socket) === 1) return;
    const upstream = openSocket(Number(new URL(server.url).port), '127.0.0.1');
    upstream.on('error', () => undefined);
    socket.pipe(upstream).pipe(socket);
  });
  mute.listen(0, '127.0.0.1');
  await once(mute, 'listening');
  t.teardown(() => {
    mute.close();
    for (const socket of sockets) socket.destroy();
  });
  const { port } = mute.address() as AddressInfo;
  const { token } = server;
  const nc = await connectBus({ url: `127.0.0.1:${port}`, token, name: 'x', logger: silentLogger });
  t.true(sockets.length > 1);
  await nc.close();
});

test('a node that is stopped while a server says nothing waits for it no longer', async (t) => {
  const heard = Promise.withResolvers<Socket>();
  let attempts = 0;
  const mute = createServer((socket) => {
    socket.on('error', () => undefined);
    attempts += 1;
    heard.resolve(socket);
  });
  mute.listen(0, '127.0.0.1');
  await once(mute, 'listening');
  const resources = new Resources();
  const stop = new AbortController();
  const connecting = connectServer(
    { url: `nats://127.0.0.1:${(mute.address() as AddressInfo).port}` },
    {
      config: realmConfigSchema.parse({ realm: 'x' }),
      dataDir: temporaryFolder(t),
      log: silentLogger,
      signal: stop.signal,
    },
    'x',
    resources,
  );
  const socket = await heard.promise;
  stop.abort(new Error('stopped'));
  await t.throwsAsync(connecting, { message: 'stopped' });
  t.is(attempts, 1);
  mute.close();
  socket.destroy();
  await resources.disposeAsync();
});

test('versions compare by number, with or without a prefix and suffix', (t) => {
  t.true(compareVersions('2.9.30', '2.12.0') < 0);
  t.true(compareVersions('v2.12.0-RC.1', '2.12.0') === 0);
  t.true(compareVersions('2.15.1', '2.12.0') > 0);
  t.true(compareVersions('3.0.0', '2.12.0') > 0);
});

test('a private file is replaced whole and has mode 0600 whatever stood there', (t) => {
  const path = join(temporaryFolder(t), 'deep', 'run.json');
  writePrivateFile(path, 'one');
  chmodSync(path, 0o644);
  writePrivateFile(path, 'two');
  t.is(readFileSync(path, 'utf8'), 'two');
  t.is(statSync(path).mode & 0o777, 0o600);
  t.deepEqual(readdirSync(join(path, '..')), ['run.json']);
});
