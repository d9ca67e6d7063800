/**
 * An etcd of the benchmark's own, where one is installed (Debian: `etcd-server`), and create-if-absent on it: a
 * transaction over gRPC, as etcd's own clients send it, in the few bytes of protobuf that it needs.
 */
import { spawn, spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect as connectHttp2 } from 'node:http2';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { endChild, owned } from './process.ts';

export interface Etcd extends AsyncDisposable {
  readonly pid: number;
  /** One connection: creates a key where it is absent; true for the one who did. */
  client(): { create(key: string, value: string): Promise<boolean>; close(): void };
}

const START_MS_MAX = 20_000;

/** Undefined where etcd is not installed; `ETCD` names another program than the one on the path. */
export async function startEtcd(): Promise<Etcd | undefined> {
  const { ETCD: program = 'etcd' } = process.env;
  if (spawnSync(program, ['--version']).status !== 0) return undefined;
  const folder = await mkdtemp(join(tmpdir(), 'infrafabric-etcd-'));
  const [client, peer] = [`http://127.0.0.1:${await freePort()}`, `http://127.0.0.1:${await freePort()}`];
  const args = [
    ...['--data-dir', join(folder, 'data'), '--name', 'bench', '--logger', 'zap', '--log-level', 'error'],
    ...['--listen-client-urls', client, '--advertise-client-urls', client],
    ...['--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer],
    ...['--initial-cluster', `bench=${peer}`],
  ];
  const child = owned(spawn(program, args, { stdio: 'ignore' }));
  await using stack = new AsyncDisposableStack();
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  stack.defer(() => endChild(child));
  await healthy(client);
  const kept = stack.move();
  return {
    pid: child.pid ?? 0,
    client: () => openClient(client),
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

function openClient(url: string): ReturnType<Etcd['client']> {
  const session = connectHttp2(url);
  return {
    create: (key, value) =>
      new Promise((resolve, reject) => {
        const stream = session.request({
          ':method': 'POST',
          ':path': '/etcdserverpb.KV/Txn',
          'content-type': 'application/grpc',
          te: 'trailers',
        });
        const chunks: Buffer[] = [];
        let status: string | undefined;
        stream.on('data', (chunk: Buffer) => chunks.push(chunk));
        stream.on('trailers', (trailers) => {
          status = String(trailers['grpc-status']);
        });
        stream.on('error', reject);
        stream.on('end', () => {
          if (status === undefined || status === '0') resolve(succeeded(Buffer.concat(chunks).subarray(5)));
          else reject(new Error(`etcd answered with grpc-status ${status}`));
        });
        stream.end(framed(transaction(Buffer.from(key), Buffer.from(value))));
      }),
    close: () => session.close(),
  };
}

/** Where the key has create revision 0, put it. */
function transaction(key: Buffer, value: Buffer): Buffer {
  const compare = Buffer.concat([Buffer.from([0x10, 1]), field(3, key), Buffer.from([0x28, 0])]);
  const put = Buffer.concat([field(1, key), field(2, value)]);
  return Buffer.concat([field(1, compare), field(2, field(2, put))]);
}

/** A length-delimited field. */
function field(number: number, bytes: Buffer): Buffer {
  return Buffer.concat([Buffer.from([(number << 3) | 2]), varint(bytes.length), bytes]);
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 127; rest >>>= 7) bytes.push((rest & 127) | 128);
  return Buffer.from([...bytes, rest]);
}

function framed(message: Buffer): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

/** Field 2 of the answer, a bool, behind its header. */
function succeeded(message: Buffer): boolean {
  let at = 0;
  while (at < message.length) {
    const tag = message[at] ?? 0;
    if (tag === 0x10) return message[at + 1] === 1;
    if ((tag & 7) !== 2) return false;
    const length = message[at + 1] ?? 0;
    at += 2 + length;
  }
  return false;
}

async function healthy(url: string): Promise<void> {
  const end = performance.now() + START_MS_MAX;
  while (performance.now() < end) {
    const answer = await fetch(`${url}/health`).catch(() => undefined);
    if (answer?.ok === true) return;
    await pause(20);
  }
  throw new Error('etcd did not become healthy');
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('there is no port');
  return address.port;
}
