/** A small file system that can be filled up: memory, mounted as root only. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** More than a server writes in a long run: it is full only where that is meant. */
const SIZE = '2g';
const CHUNK_BYTES = 64 * 1024 * 1024;

export class SmallDisk implements Disposable {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  /** Undefined where nobody may mount. */
  static mount(path: string): SmallDisk | undefined {
    mkdirSync(path, { recursive: true });
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${SIZE}`, 'tmpfs', path], { stdio: 'ignore' });
    } catch {
      return undefined;
    }
    return new SmallDisk(path);
  }

  /** Leaves not a byte. */
  fill(): void {
    for (let n = 0; ; n += 1) {
      const { bavail, bsize } = statfsSync(this.path);
      const bytes = Math.min(bavail * bsize, CHUNK_BYTES);
      if (bytes === 0) return;
      try {
        writeFileSync(this.#ballast(n), Buffer.alloc(bytes));
      } catch (thrown) {
        // Somebody else wrote meanwhile: what is left is looked at again.
        if ((thrown as NodeJS.ErrnoException).code !== 'ENOSPC') throw thrown;
      }
    }
  }

  clear(): void {
    rmSync(join(this.path, 'ballast'), { recursive: true, force: true });
  }

  [Symbol.dispose](): void {
    execFileSync('umount', [this.path]);
  }

  #ballast(n: number): string {
    mkdirSync(join(this.path, 'ballast'), { recursive: true });
    return join(this.path, 'ballast', String(n));
  }
}
