import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { hashed } from '#actors/coordinator/mcp/artifacts';

test('a hash that is given is held against the file, where it lies here', async (t) => {
  const root = mkdtempSync(join(tmpdir(), 'if-artifacts-'));
  t.teardown(() => rmSync(root, { recursive: true }));
  writeFileSync(join(root, 'a.md'), 'text');
  const sha256 = createHash('sha256').update('text').digest('hex');
  const other = '0'.repeat(64);
  const kind = 'docs';
  const found = { kind, path: 'a.md', sha256, bytes: 4 };
  t.deepEqual(await hashed(root, [{ kind, path: 'a.md', sha256 }]), [found]);
  t.deepEqual(await hashed(root, [{ kind, path: 'a.md' }]), [found]);
  t.like(await hashed('/', [{ kind, path: join(root, 'a.md') }]), [{ sha256 }]);
  await t.throwsAsync(hashed(root, [{ kind, path: 'a.md', sha256: other }]), { code: 'mcp_other_hash' });
  const elsewhere = { kind, path: 'b.md', sha256: other } as const;
  t.deepEqual(await hashed(root, [elsewhere]), [elsewhere]);
  const branch = { kind: 'branch', path: 'a@1', sha256: other } as const;
  t.deepEqual(await hashed(root, [branch]), [branch]);
});
