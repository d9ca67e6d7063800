/** W1, W2 of runtime/archive/verify.ts: an archive is what it was only where all of it was signed. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { fileStore } from '#runtime/archive/file-store';
import { emptyManifest, writeManifest } from '#runtime/archive/manifest';
import { encodeSegment } from '#runtime/archive/segment';
import { type ArchiveVerdict, verifyArchive } from '#runtime/archive/verify';
import type { BundleHead } from '#runtime/witness/bundle';
import type { LogMessage } from '#runtime/witness/log-reader';
import { formatVerifierKey } from '#runtime/witness/note';
import { parseTilePath } from '#runtime/witness/tiles';
import { CliFolder } from '../rig/cli.ts';
import { MemoryLog } from '../rig/memory-log.ts';
import { type Case, evidenceOver, newSigner } from '../witness/evidence.ts';

const WIDTH = 256;
const signer = newSigner();
const next = newSigner();
const [vkey, nextKey] = [formatVerifierKey(signer.key), formatVerifierKey(next.key)];

/** Two bundles of commits. The evidence over the first is the realm's own before there were more. */
const messages = logOf(2 * WIDTH);
const early = evidenceOver(messages.slice(0, WIDTH), signer);
const whole = evidenceOver(messages, signer);
const rotated = evidenceOver(messages, next);

function logOf(count: number): readonly LogMessage[] {
  const log = new MemoryLog();
  for (let n = 0; n < count; n += 1) log.append({ shard: 0, at: Date.now(), entries: [] });
  return log.messages;
}

interface Part {
  readonly messages: readonly LogMessage[];
  readonly evidence?: Case;
  readonly key?: string;
  readonly head?: Partial<BundleHead>;
}

/** The verdict on an archive of these segments. */
async function verdict(
  parts: readonly Part[],
  keys: readonly string[],
  chainOnly = false,
): Promise<ArchiveVerdict> {
  return await withArchive(parts, (place) =>
    verifyArchive(fileStore(place), { keys, chainOnly, signal: new AbortController().signal }),
  );
}

async function withArchive<T>(parts: readonly Part[], check: (place: string) => Promise<T>): Promise<T> {
  const place = mkdtempSync(join(tmpdir(), 'if-archive-'));
  try {
    const store = fileStore(place);
    const segments = [];
    for (const { messages: held, evidence, key, head } of parts) {
      const range = { from: held[0]?.seq ?? 1, through: held.at(-1)?.seq ?? 0 };
      const proof = evidence && { checkpoint: Buffer.from(evidence.checkpoint).toString() };
      const tiles = [...(evidence?.tiles ?? [])].flatMap(([path, bytes]) => {
        const tile = parseTilePath(path);
        return tile === undefined ? [] : [[tile, bytes] as const];
      });
      const said = { ...range, ...proof, ...(key !== undefined && { key }), ...head };
      const { segment, bytes } = encodeSegment({ head: said, tiles, messages: held });
      await store.put(segment.name, bytes);
      segments.push({ ...segment, ...range });
    }
    await writeManifest(store, { ...emptyManifest('shop'), segments });
    return await check(place);
  } finally {
    rmSync(place, { recursive: true });
  }
}

const first = messages.slice(0, WIDTH);
const second = messages.slice(WIDTH);

test('an archive that is signed throughout verifies, under the keys that the realm had', async (t) => {
  const parts = [
    { messages: first, evidence: early, key: vkey },
    { messages: second, evidence: whole, key: vkey },
  ];
  const good = { ok: true, segments: 2, commits: 2 * WIDTH, signed: 2 * WIDTH };
  t.like(await verdict(parts, [vkey]), good);
  t.like(await verdict(parts, []), good);
  const afterRotation = [
    { messages: first, evidence: early, key: vkey },
    { messages: second, evidence: rotated, key: nextKey },
  ];
  t.like(await verdict(afterRotation, [vkey, nextKey]), good);
  t.like(await verdict(afterRotation, [nextKey, vkey]), good);
  t.regex((await verdict(afterRotation, [vkey])).problem ?? '', /log-0+257-0+512.*is not signed by/);
  t.like(await t.throwsAsync(verdict(parts, [vkey, 'rubbish'])), { code: 'bad_evidence' });
});

test('a segment whose commits no signature covers is named, with a key and without (W2)', async (t) => {
  const forged = [
    { messages: first, evidence: early, key: vkey },
    // One chain with the first segment, and behind what its checkpoint is of.
    { messages: second, evidence: early, key: vkey },
  ];
  for (const keys of [[vkey], []]) {
    const found = await verdict(forged, keys);
    t.like(found, { ok: false, commits: WIDTH, signed: WIDTH });
    t.regex(found.problem ?? '', /^log-0+257-0+512\S+: unsigned at sequence 257: no signature covers/);
  }
  const bare = [{ messages: first }];
  for (const keys of [[vkey], []]) {
    t.regex((await verdict(bare, keys)).problem ?? '', /: checkpoint: .*nothing is signed/);
  }
  t.like(await verdict(bare, [], true), { ok: true, commits: WIDTH, signed: 0 });
});

test('a segment that says that it is of fewer commits than it holds is not checked by its own word (W1)', async (t) => {
  const [other] = logOf(1);
  const altered = first.map((message) => (message.seq === 200 && other ? { ...other, seq: 200 } : message));
  const shy = (held: readonly LogMessage[]): Part[] => [
    { messages: held, evidence: early, key: vkey, head: { from: 1, through: 1 } },
  ];
  t.like(await verdict(shy(first), [vkey]), { ok: true, signed: WIDTH });
  t.regex((await verdict(shy(altered), [vkey])).problem ?? '', /altered at sequence 200/);
  // Nothing but its own word says where a chain ends.
  t.regex((await verdict(shy(altered), [], true)).problem ?? '', /1 of its 256 commits/);
});

test('the command says whose keys they were, and ends with 1 where something is not signed', async (t) => {
  await using folder = new CliFolder();
  await withArchive([{ messages: first, evidence: early, key: vkey }], async (place) => {
    const own = await folder.run(['archive', 'verify', place]);
    t.is(own.code, 0, own.err);
    t.regex(own.out, /✓ 256 commits in 1 segment .*\n.*bring yours with --key/);
    const brought = await folder.run(['archive', 'verify', place, '--key', nextKey, '--key', vkey]);
    t.is(brought.code, 0, brought.out);
    t.notRegex(brought.out, /--key/);
  });
  await withArchive([{ messages: first }], async (place) => {
    const unsigned = await folder.run(['archive', 'verify', place]);
    t.is(unsigned.code, 1);
    t.regex(unsigned.out, /✗ log-\S+: checkpoint: /);
    const chain = await folder.run(['archive', 'verify', place, '--chain-only']);
    t.is(chain.code, 0);
    t.regex(chain.out, /No signature was checked/);
  });
});
