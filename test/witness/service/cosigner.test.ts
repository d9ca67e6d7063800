/** Breaks Q1, Q2 of the cosigner and K1, K2 of those who ask it: C2SP tlog-witness over HTTP. */
import { sign } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { signingKey } from '#runtime/edge/sign';
import { toBase64 } from '#runtime/witness/bytes';
import { formatCheckpoint, parseCheckpoint } from '#runtime/witness/checkpoint';
import { cosign } from '#runtime/witness/cosignature';
import { merkle, nodePrimitives } from '#runtime/witness/node-crypto';
import {
  COSIGNATURE_V1,
  formatSignatureLine,
  formatVerifierKey,
  parseNote,
  parseVerifierKey,
  type VerifierKey,
  verifierKey,
  verifyNote,
} from '#runtime/witness/note';
import { cosignerOf } from '#runtime/witness/service/accept';
import { Cosigner } from '#runtime/witness/service/cosign/cosigner';
import { serveCosigner } from '#runtime/witness/service/cosign/serve';
import { StateFile } from '#runtime/witness/service/cosign/state-file';
import { CosignerClient, type Submission } from '#runtime/witness/service/cosigners';
import type { HttpListener } from '#runtime/witness/service/http-listener';
import { RightEdge } from '#runtime/witness/service/right-edge';
import { signerOf } from '#runtime/witness/service/signer';
import { silentLogger } from '../../rig/nats.ts';

const ORIGIN = 'log.example/one';
const NAME = 'witness.example/w1';
const signer = signerOf(new Uint8Array(32).fill(1), ORIGIN);

function keyOf(text: string): VerifierKey {
  const key = parseVerifierKey(nodePrimitives.sha256, text);
  if (key === undefined) throw new Error('no key');
  return key;
}

/** A log in memory: roots and proofs at every size. */
class MemoryLog {
  readonly #hashes: Uint8Array[] = [];
  readonly #edge = new RightEdge();
  readonly roots: Uint8Array[] = [this.#edge.root()];

  constructor(name: string, size: number) {
    for (let i = 0; i < size; i += 1) {
      const entry = Buffer.from(`${name} ${i}`);
      this.#hashes.push(merkle.leafHash(entry));
      this.#edge.append(entry);
      this.roots.push(this.#edge.root());
    }
  }

  note(size: number, by = signer, origin = ORIGIN): string {
    const root = this.roots[size] ?? new Uint8Array(32);
    return by.sign(formatCheckpoint({ origin, size, root, extensions: [] }));
  }

  async proof(from: number, to: number): Promise<string[]> {
    const read = async (height: number, n: number): Promise<Uint8Array> => {
      const leaves = this.#hashes.slice(n * 2 ** height, (n + 1) * 2 ** height);
      let row = leaves;
      while (row.length > 1) {
        row = row.flatMap((hash, i) => (i % 2 === 0 ? [merkle.nodeHash(hash, row[i + 1] ?? hash)] : []));
      }
      return row[0] ?? new Uint8Array();
    };
    return (await merkle.consistencyProof(from, to, read)).map(toBase64);
  }

  async body(from: number, to: number): Promise<string> {
    return [`old ${from}`, ...(await this.proof(from, to)), '', this.note(to)].join('\n');
  }
}

interface Rig {
  readonly folder: string;
  readonly url: string;
  readonly key: string;
  readonly post: (body: string | Uint8Array) => Promise<{ status: number; type: string; text: string }>;
  /** Ends the cosigner and starts it again on its folder. */
  readonly restart: () => Promise<void>;
}

async function cosigner(t: ExecutionContext): Promise<Rig> {
  const folder = mkdtempSync(join(tmpdir(), 'if-cosigner-'));
  let listener: HttpListener;
  let made: Cosigner;
  const start = async (): Promise<void> => {
    made = new Cosigner({
      name: NAME,
      key: signingKey(new Uint8Array(32).fill(2)),
      logs: [keyOf(signer.key)],
      state: new StateFile(join(folder, 'state.json')),
      now: () => 1_700_000_000_500,
    });
    listener = await serveCosigner(made, { host: '127.0.0.1', port: 0, logger: silentLogger });
  };
  await start();
  t.teardown(async () => {
    await listener.close();
    rmSync(folder, { recursive: true, force: true });
  });
  return {
    folder,
    get url() {
      return listener.url;
    },
    get key() {
      return made.key;
    },
    async post(body) {
      const response = await fetch(`${listener.url}/add-checkpoint`, { method: 'POST', body });
      return {
        status: response.status,
        type: response.headers.get('content-type') ?? '',
        text: await response.text(),
      };
    },
    async restart() {
      await listener.close();
      await start();
    },
  };
}

test('a cosigner signs each checkpoint that follows from the last one, with the time, and has it on disk first', async (t) => {
  const rig = await cosigner(t);
  const log = new MemoryLog('a', 300);
  let from = 0;
  for (const to of [0, 1, 2, 3, 100, 256, 256, 257, 300]) {
    const { status, text } = await rig.post(await log.body(from, to));
    t.is(status, 200, text);
    const note = parseNote(Buffer.from(log.note(to) + text));
    const verdict = note && verifyNote(nodePrimitives, note, [keyOf(rig.key), keyOf(signer.key)]);
    t.true(verdict?.ok);
    t.is(verdict?.ok === true ? verdict.verified[1]?.timestamp : 0, 1_700_000_000);
    const stored = JSON.parse(readFileSync(join(rig.folder, 'state.json'), 'utf8'));
    t.is(stored.logs[ORIGIN].size, to);
    if (to === 100) await rig.restart();
    from = to;
  }
  t.is(statSync(join(rig.folder, 'state.json')).mode & 0o777, 0o600);
});

test('a cosigner refuses as C2SP tlog-witness says, and nothing refused changes what it knows', async (t) => {
  const rig = await cosigner(t);
  const log = new MemoryLog('a', 50);
  const other = new MemoryLog('b', 50);
  t.is((await rig.post(await log.body(0, 20))).status, 200);
  const body = (old: string, proof: readonly string[], note: string) => [old, ...proof, '', note].join('\n');
  const stranger = signerOf(new Uint8Array(32).fill(9), ORIGIN);
  const unknown = signerOf(new Uint8Array(32).fill(1), 'other.example');
  const good = await log.proof(20, 30);
  const cases: [name: string, body: string | Uint8Array, status: number][] = [
    ['nothing', '', 400],
    ['no old line', log.note(30), 400],
    ['a leading zero', body('old 020', good, log.note(30)), 400],
    ['an old size that is no number', body('old x', good, log.note(30)), 400],
    ['a proof line that is no hash', body('old 20', ['AAAA'], log.note(30)), 400],
    ['64 proof lines', body('old 20', Array(64).fill(good[0]), log.note(30)), 400],
    ['a note that is none', body('old 20', good, 'log.example/one\n30\n'), 400],
    ['bytes that are no text', Uint8Array.of(0xff, 0xfe, 0x0a, 0x0a), 400],
    ['an old size above the new one', body('old 40', [], log.note(30)), 400],
    ['an unknown origin', body('old 20', good, log.note(30, unknown, 'other.example')), 404],
    ['an unknown key', body('old 20', good, log.note(30, stranger)), 403],
    ['a signature of something else', body('old 20', good, log.note(30).replace('\n30\n', '\n31\n')), 403],
    ['another old size', body('old 10', await log.proof(10, 30), log.note(30)), 409],
    ['an old size of nothing', await log.body(0, 30), 409],
    ['another root of the same size', body('old 20', [], other.note(20)), 409],
    ['a tree that went back', body('old 10', [], log.note(10)), 409],
    ['a proof that is missing', body('old 20', [], log.note(30)), 422],
    ['a proof of another tree', body('old 20', await other.proof(20, 30), other.note(30)), 422],
    ['a proof with a hash too many', body('old 20', [...good, good[0] ?? ''], log.note(30)), 422],
    ['a proof beside the same size', body('old 20', good, log.note(20)), 422],
    ['a body without end', 'x'.repeat(100_000), 413],
  ];
  for (const [name, text, status] of cases) {
    const reply = await rig.post(text);
    t.is(reply.status, status, `${name}: ${reply.text}`);
    if (name.includes('old size of nothing') || name === 'another old size') {
      t.deepEqual([reply.type, reply.text], ['text/x.tlog.size', '20\n']);
    }
    t.notRegex(reply.text, /—/);
  }
  t.is((await fetch(`${rig.url}/add-checkpoint`)).status, 405);
  t.is((await fetch(`${rig.url}/else`, { method: 'POST', body: 'x' })).status, 404);
  t.is((await rig.post(await log.body(20, 30))).status, 200, 'it knows what it knew');
});

test('of many submissions at once, each for another tree, only one history is cosigned', async (t) => {
  const rig = await cosigner(t);
  const log = new MemoryLog('a', 40);
  const other = new MemoryLog('b', 40);
  const bodies = await Promise.all(
    Array.from({ length: 20 }, (_, i) => (i % 2 === 0 ? log : other).body(0, 20 + i)),
  );
  const replies = await Promise.all(bodies.map((body) => rig.post(body)));
  t.is(replies.filter(({ status }) => status === 200).length, 1);
  t.is(replies.filter(({ status }) => status === 409).length, 19);
});

test('a state file that cannot be read stops the cosigner instead of letting it begin anew', async (t) => {
  const rig = await cosigner(t);
  const log = new MemoryLog('a', 20);
  await rig.post(await log.body(0, 20));
  const file = join(rig.folder, 'state.json');
  for (const text of ['', '{', '{"format":2,"logs":{}}', '{"format":1,"logs":{"x":{"size":-1,"root":""}}}']) {
    writeFileSync(file, text);
    t.throws(() => new StateFile(file), { code: 'cosigner_state_bad' });
  }
});

test('a realm’s side learns the old size from a conflict, sends the newest, and takes no signature that does not verify', async (t) => {
  const rig = await cosigner(t);
  const log = new MemoryLog('a', 100);
  await rig.post(await log.body(0, 10));
  const lines: string[] = [];
  const cosigned = Promise.withResolvers<void>();
  const client = new CosignerClient({
    ...cosignerOf(rig.url, rig.key),
    cosigned: async ({ size }, line) => {
      lines.push(`${size} ${line}`);
      if (size === 100) cosigned.resolve();
    },
    logger: silentLogger,
  });
  t.teardown(() => client.close());
  const submission = (size: number): Submission => ({
    size,
    note: log.note(size),
    proofFrom: (old) => log.proof(old, size),
  });
  for (const size of [20, 30, 40, 100]) client.submit(submission(size));
  await cosigned.promise;
  t.deepEqual(
    lines.map((line) => line.split(' ')[0]),
    ['20', '100'],
    'those between are skipped',
  );
  t.is(parseCheckpoint(parseNote(Buffer.from(log.note(100)))?.text ?? '')?.size, 100);
  const forger = signerOf(new Uint8Array(32).fill(3), NAME);
  const accept = cosignerOf(rig.url, rig.key).accept;
  const line = lines.at(-1)?.slice('100 '.length) ?? '';
  t.is(accept(log.note(100), line), line);
  t.is(accept(log.note(99), line), undefined, 'not for another checkpoint');
  t.is(accept(log.note(100), forger.sign('x\n').split('\n\n')[1] ?? ''), undefined);
  t.throws(() => cosignerOf(rig.url, signer.key), { code: 'cosigner_bad_key' });
});

test('a cosignature counts for the checkpoint’s own text, not for a longer one that an empty line in the reply makes', (t) => {
  const { publicKey, privateKey } = signingKey(new Uint8Array(32).fill(2));
  const key = verifierKey(nodePrimitives.sha256, NAME, publicKey, COSIGNATURE_V1);
  const { accept } = cosignerOf('http://127.0.0.1:1', formatVerifierKey(key));
  const lineOver = (text: string): string =>
    `${formatSignatureLine(cosign(key, text, 1_700_000_000, (message) => sign(null, message, privateKey)))}\n`;
  const note = new MemoryLog('a', 3).note(3);
  const line = lineOver(parseNote(Buffer.from(note))?.text ?? '');
  t.is(accept(note, line), line);
  // Among the lines of a note that is published these would be false, and whoever knows the key would refuse it all.
  t.is(accept(note, `\n${lineOver(note)}`), undefined);
  t.is(accept(note, `${line}\n${lineOver(note + line)}`), undefined);
});

test('a cosigner that never answers, or answers without end, holds up nothing but itself', async (t) => {
  const requests: string[] = [];
  const heard = Promise.withResolvers<void>();
  const server = createServer((request) => {
    requests.push(request.url ?? '');
    heard.resolve();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  const log = new MemoryLog('a', 20);
  const { key } = new Cosigner({
    name: NAME,
    key: signingKey(new Uint8Array(32).fill(2)),
    logs: [],
    state: new StateFile(join(tmpdir(), 'if-cosigner-absent', 'state.json')),
    now: Date.now,
  });
  const client = new CosignerClient({
    ...cosignerOf(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, key),
    cosigned: async () => t.fail('it signed nothing'),
    logger: silentLogger,
  });
  for (let size = 1; size <= 20; size += 1) {
    client.submit({ size, note: log.note(size), proofFrom: async () => [] });
  }
  await heard.promise;
  await client.close();
  t.is(requests.length, 1, 'one request at a time');
});
