/** Inside a jail: tells every descriptor that it has, as `number kind device:inode`, and ends. */
import { fstatSync, type Stats, writeSync } from 'node:fs';

const STDOUT = 1;
const DESCRIPTORS_MAX = 64;

const kindOf = (stats: Stats): string =>
  stats.isFile() ? 'file' : stats.isDirectory() ? 'folder' : stats.isSocket() ? 'socket' : 'other';

const lines: string[] = [];
for (let fd = 0; fd < DESCRIPTORS_MAX; fd += 1) {
  try {
    const stats = fstatSync(fd);
    lines.push(`${fd} ${kindOf(stats)} ${stats.dev}:${stats.ino}`);
  } catch {
    // It is not open.
  }
}
writeSync(STDOUT, `${lines.join('\n')}\n`);
