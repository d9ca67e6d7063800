/** Another implementation agrees: Go's golang.org/x/mod/sumdb on notes, roots, tiles, inclusion and consistency. */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import test from 'ava';
import { toBase64, utf8 } from '#runtime/witness/bytes';
import { encodeLeaf } from '#runtime/witness/leaf';
import { merkle, nodePrimitives } from '#runtime/witness/node-crypto';
import { formatVerifierKey } from '#runtime/witness/note';
import { type Tile, tilePath, tileReader } from '#runtime/witness/tiles';
import { flip, newSigner, type Tree, treeOver } from './evidence.ts';

const SOURCE = resolve(import.meta.dirname, '../rig/go-tlog/main.go');
/** Where Debian puts the source of Go packages. */
const GOPATH = '/usr/share/gocode';
const SIZES = [1, 2, 255, 256, 257, 1_000, 70_000];
const signer = newSigner();

/** Why Go cannot be asked; undefined where it can. */
function missing(): string | undefined {
  if (spawnSync('go', ['version']).status !== 0) return 'Go is not installed (Debian: golang-go)';
  if (existsSync(join(GOPATH, 'src/golang.org/x/mod/sumdb/tlog'))) return undefined;
  return 'Go’s x/mod is not installed (Debian: golang-golang-x-mod-dev)';
}

function entriesOf(size: number): Uint8Array[] {
  return Array.from({ length: size }, (_, n) =>
    encodeLeaf({
      shard: n % 4,
      index: n,
      seq: n + 1,
      at: n,
      hash: nodePrimitives.sha256(utf8(`commit ${n}`)),
    }),
  );
}

function write(folder: string, name: string, bytes: Uint8Array | string): void {
  const file = join(folder, name);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, bytes);
}

async function writeLog(folder: string, { size, tiles, checkpoint }: Tree): Promise<number> {
  write(folder, 'vkey', formatVerifierKey(signer.key));
  write(folder, 'checkpoint', checkpoint);
  for (const [path, bytes] of tiles) write(folder, path, bytes);
  const fetch = async (tile: Tile): Promise<Uint8Array> => tiles.get(tilePath(tile)) ?? new Uint8Array();
  const read = tileReader(merkle, size, fetch);
  const some = [0, 1, 2, 254, 255, 256, 511, 512, 65_535, 65_536, size - 2, size - 1];
  const indices = [...new Set(some)].filter((n) => n >= 0 && n < size);
  const Inclusion = await Promise.all(
    indices.map(async (Index) => ({
      Index,
      Hashes: (await merkle.inclusionProof(Index, size, read)).map(toBase64),
    })),
  );
  const Consistency = await Promise.all(
    indices.map(async (n) => {
      const From = n + 1;
      // The smaller tree is read from the tiles of the larger one, as far as it fills them.
      const Root = toBase64(await merkle.root(From, read));
      return { From, Root, Hashes: (await merkle.consistencyProof(From, size, read)).map(toBase64) };
    }),
  );
  write(folder, 'proofs.json', JSON.stringify({ Inclusion, Consistency }));
  return Inclusion.length + Consistency.length;
}

test('Go’s sumdb packages verify our notes, roots, tiles and proofs, and refuse what was changed', async (t) => {
  const why = missing();
  if (why !== undefined) {
    t.log(`skipped: ${why}`);
    t.pass();
    return;
  }
  const folder = mkdtempSync(join(tmpdir(), 'if-go-'));
  try {
    const binary = join(folder, 'check');
    execFileSync('go', ['build', '-o', binary, SOURCE], {
      env: {
        ...process.env,
        GO111MODULE: 'off',
        GOPATH,
        GOCACHE: join(folder, 'cache'),
        HOME: folder,
        GOFLAGS: '',
      },
    });
    const ask = (log: string): { ok: boolean; checked: number; error?: string } =>
      JSON.parse(execFileSync(binary, [log]).toString()) as { ok: boolean; checked: number; error?: string };
    for (const size of SIZES) {
      const log = join(folder, String(size));
      const tree = treeOver(entriesOf(size), signer);
      const proofs = await writeLog(log, tree);
      t.deepEqual(ask(log), { ok: true, checked: proofs }, String(size));
      if (size !== 257) continue;
      for (const path of [...tree.tiles.keys(), 'checkpoint']) {
        const bytes = tree.tiles.get(path) ?? tree.checkpoint;
        write(log, path, flip(bytes, 8 * 20));
        t.false(ask(log).ok, `${path} with another bit`);
        write(log, path, bytes);
      }
      t.true(ask(log).ok);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});
