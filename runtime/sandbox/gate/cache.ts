/**
 * Components that passed the gate, on disk, so that each passes once.
 *
 * K1  A name is the SHA-256 of the component, of the limits, and of the gate's own edition: another gate finds nothing.
 * K2  What is read back is checked against the digest that it was written with: a file that was cut, or that somebody
 *     changed, is not there.
 * K3  A file appears whole: it is written beside its place and renamed. Two writers write the same.
 * K4  Only the owner may read and write, and the folder does not grow without bound: the longest unused go first.
 * K5  A cache that cannot be read or written costs time and nothing else: it is told, and the component passes as it would
 *     without one.
 */
import { hash, randomUUID } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pack, unpack } from 'msgpackr';
import type { GatedComponent, GateLimits } from './types.ts';

/** Raised with every change of what the gate makes of a component. */
const EDITION = 3;
const BYTES_MAX_DEFAULT = 512 * 2 ** 20;
const DIGEST_BYTES = 32;
const SUFFIX = '.gated';
const OWNER_ONLY = { file: 0o600, folder: 0o700 };

export interface GateCacheOptions {
  readonly folder: string;
  /** Of all files together (K4). */
  readonly bytesMax?: number;
  /** Is told what the file system refused (K5). */
  readonly onFault?: (fault: Error) => void;
}

export class GateCache {
  readonly #folder: string;
  readonly #bytesMax: number;
  readonly #onFault: (fault: Error) => void;

  constructor({ folder, bytesMax = BYTES_MAX_DEFAULT, onFault = () => undefined }: GateCacheOptions) {
    this.#folder = folder;
    this.#bytesMax = bytesMax;
    this.#onFault = onFault;
  }

  /** What passed before, or what `gate` makes of it now. What it refuses is not kept. */
  async gated(
    bytes: Uint8Array,
    limits: GateLimits,
    gate: (bytes: Uint8Array, limits: GateLimits) => Promise<GatedComponent>,
  ): Promise<GatedComponent> {
    const file = this.#fileOf(bytes, limits);
    const kept = await this.#read(file).catch((fault: Error) => void this.#onFault(fault)); // K5
    if (kept !== undefined) return kept;
    const gated = await gate(bytes, limits);
    await this.#write(file, gated).catch((fault: Error) => this.#onFault(fault)); // K5
    return gated;
  }

  /** K1. */
  #fileOf(bytes: Uint8Array, limits: GateLimits): string {
    const terms = JSON.stringify(Object.entries(limits).sort());
    return join(this.#folder, `${hash('sha256', `${EDITION} ${terms} ${hash('sha256', bytes)}`)}${SUFFIX}`);
  }

  async #read(file: string): Promise<GatedComponent | undefined> {
    const stored = await readFile(file).catch(absent);
    if (stored === undefined) return undefined;
    const content = stored.subarray(DIGEST_BYTES);
    if (!stored.subarray(0, DIGEST_BYTES).equals(hash('sha256', content, 'buffer'))) return undefined; // K2
    const now = new Date();
    await utimes(file, now, now).catch(absent);
    return unpack(content) as GatedComponent;
  }

  /** K3. */
  async #write(file: string, gated: GatedComponent): Promise<void> {
    const content = pack(gated);
    if (content.length > this.#bytesMax) return;
    await mkdir(this.#folder, { recursive: true, mode: OWNER_ONLY.folder });
    await this.#makeRoom(content.length);
    const beside = `${file}.${randomUUID()}`;
    try {
      await writeFile(beside, Buffer.concat([hash('sha256', content, 'buffer'), content]), {
        mode: OWNER_ONLY.file,
        flag: 'wx',
      });
      await rename(beside, file);
    } catch (thrown) {
      await rm(beside, { force: true }); // a full disk keeps no half of it
      throw thrown;
    }
  }

  /** K4. */
  async #makeRoom(bytes: number): Promise<void> {
    const names = await readdir(this.#folder);
    const files = await Promise.all(
      names.map(async (name) => {
        const path = join(this.#folder, name);
        const found = await stat(path).catch(absent);
        return found === undefined ? [] : [{ path, bytes: found.size, used: found.mtimeMs }];
      }),
    );
    const oldestFirst = files.flat().sort((one, other) => one.used - other.used);
    let sum = oldestFirst.reduce((total, file) => total + file.bytes, bytes);
    for (const file of oldestFirst) {
      if (sum <= this.#bytesMax) return;
      await rm(file.path, { force: true });
      sum -= file.bytes;
    }
  }
}

/** For what another process may have removed meanwhile. */
function absent(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error;
}
