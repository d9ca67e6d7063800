/** Bundles: checked with no server, by Node and by the page in a browser alike. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import test from 'ava';
import fc from 'fast-check';
import { type Bundle, headLine, messageLine, parseBundle, tileLine } from '#runtime/witness/bundle';
import { readBundleFile } from '#runtime/witness/bundle-file';
import { toHex } from '#runtime/witness/bytes';
import { nodePrimitives } from '#runtime/witness/node-crypto';
import { COSIGNATURE_V1, formatVerifierKey, verifierKey } from '#runtime/witness/note';
import { parseTilePath } from '#runtime/witness/tiles';
import { type OfflineReport, verifyBundle } from '#runtime/witness/verify/offline';
import { Chromium, findChromium } from '../rig/chromium.ts';
import { cases } from '../rig/effort.ts';
import { MemoryLog } from '../rig/memory-log.ts';
import { isEveryday } from '../rig/tier.ts';
import { type Case, evidenceOver, flip, newSigner, realLog } from './evidence.ts';

const PAGE = pathToFileURL(resolve(import.meta.dirname, '../../docs/verifier.html')).href;
const signer = newSigner();
const vkey = formatVerifierKey(signer.key);
const evidence = realLog(300).then((messages) => evidenceOver(messages, signer));

function bundleText({ messages, tiles, checkpoint }: Case, from = 1, through = messages.length): string {
  const head = { from, through, checkpoint: Buffer.from(checkpoint).toString(), key: vkey };
  const lines = [headLine(head)];
  for (const [path, bytes] of tiles) {
    const tile = parseTilePath(path);
    if (tile !== undefined) lines.push(tileLine(tile, bytes));
  }
  for (const message of messages)
    if (message.seq >= from && message.seq <= through) lines.push(messageLine(message));
  return `${lines.join('\n')}\n`;
}

function parsed(text: string): Bundle {
  const bundle = parseBundle(text);
  if (!('messages' in bundle)) throw new Error(`line ${bundle.line}: ${bundle.problem}`);
  return bundle;
}

async function verdict(text: string, trust = vkey): Promise<OfflineReport> {
  const report = await verifyBundle(nodePrimitives, parsed(text), trust);
  if (typeof report === 'string') throw new Error(report);
  return report;
}

/** Bundles and what must come of them. */
async function bundles(): Promise<readonly (readonly [name: string, text: string, ok: boolean])[]> {
  const whole = await evidence;
  const { messages } = whole;
  const [, second] = messages;
  if (second === undefined) throw new Error('no log');
  const stranger = evidenceOver(messages, newSigner());
  const misplaced = evidenceOver(messages, signer, (leaf) => ({ ...leaf, seq: leaf.seq + 1 }));
  const altered = messages.with(1, { ...second, bytes: flip(second.bytes, 900) });
  return [
    ['whole', bundleText(whole), true],
    ['range', bundleText(whole, 40, 90), true],
    ['altered', bundleText({ ...whole, messages: altered }), false],
    ['removed', bundleText({ ...whole, messages: messages.toSpliced(1, 1) }), false],
    ['cut', bundleText({ ...whole, messages: messages.slice(0, -3) }, 1, messages.length), false],
    ['stranger', bundleText(stranger), false],
    ['misplaced', bundleText(misplaced), false],
    ['forged', bundleText(behind(whole), messages.length + 1, messages.length + 20), false],
  ];
}

/** The same evidence, and behind it commits that nobody signed, in a chain of their own. */
function behind(whole: Case): Case {
  const forged = new MemoryLog();
  for (let n = 0; n < 20; n += 1) forged.append({ shard: 0, at: Date.now(), entries: [] });
  const after = whole.messages.length;
  return { ...whole, messages: forged.messages.map((one) => ({ ...one, seq: one.seq + after })) };
}

test('a commit that no checkpoint covers is a break in a bundle, whoever is trusted', async (t) => {
  const whole = await evidence;
  const size = whole.messages.length;
  const forged = behind(whole);
  for (const trust of [vkey, '']) {
    const report = await verdict(bundleText(forged, size + 1, size + 20), trust);
    t.like(report, { ok: false, commits: 20, signed: 0, breakCount: 1 });
    t.like(report.breaks[0], { kind: 'unsigned', seq: size + 1 });
  }
  // An old checkpoint, and the rest of the log behind it: not even where that is the true one.
  const old = { ...evidenceOver(whole.messages.slice(0, 5), signer), messages: whole.messages };
  const { ok, signed, breaks } = await verdict(bundleText(old));
  t.deepEqual([ok, signed, breaks.map(({ kind, seq }) => `${kind}@${seq}`)], [false, 5, ['unsigned@6']]);
  t.like(await verdict(bundleText(old, 1, 5)), { ok: true, signed: 5 });
});

test('a bundle verifies by itself, and what was changed in it is named', async (t) => {
  for (const [name, text, ok] of await bundles()) t.is((await verdict(text)).ok, ok, name);
  const whole = bundleText(await evidence);
  t.like(await verdict(whole, ''), { ok: true, isOwnTrust: true });
  t.like(await verdict(whole), { ok: true, isOwnTrust: false, signed: (await evidence).messages.length });
  t.regex(
    String(await verifyBundle(nodePrimitives, parsed(whole), 'rubbish')),
    /neither a verifier key nor a policy: a verifier key is one line/,
  );
  t.regex(
    String(await verifyBundle(nodePrimitives, parsed(whole), 'quorum x')),
    /line 1: "x" is not defined/,
  );
  t.regex(String(await verifyBundle(nodePrimitives, parsed(whole), `${vkey}=`)), /a mistyped verifier key/);
  const { sha256 } = nodePrimitives;
  const cosigner = verifierKey(sha256, 'guard', signer.key.publicKey, COSIGNATURE_V1);
  t.regex(
    String(await verifyBundle(nodePrimitives, parsed(whole), formatVerifierKey(cosigner))),
    /the key of guard is that of a cosigner/,
  );
  const stranger = await verdict(whole, formatVerifierKey(newSigner().key));
  t.like(stranger, { ok: false, breakCount: 1 });
  t.true(stranger.breaks[0]?.what.endsWith(`, but by ${signer.key.name}+${toHex(signer.key.id)}`));
});

test('a bundle of nothing vouches for nothing', async (t) => {
  const whole = await evidence;
  for (const [from, through] of [
    [1, 0],
    [41, 40],
  ] as const) {
    const report = await verdict(bundleText(whole, from, through));
    t.like(report, { ok: false, commits: 0 });
    t.is(report.breaks[0]?.what, 'the bundle holds no commit of this range');
  }
});

test('a bundle that has no checkpoint, or names nobody, does not verify, unless only its chain is asked for', async (t) => {
  const [head = '', ...rest] = bundleText(await evidence).split('\n');
  const { checkpoint: _, ...bare } = JSON.parse(head) as Record<string, unknown>;
  for (const stripped of [bare, { ...bare, checkpoint: '' }]) {
    const text = [JSON.stringify(stripped), ...rest].join('\n');
    for (const trust of [vkey, '']) {
      const { ok, breaks, signed } = await verdict(text, trust);
      t.deepEqual([ok, signed, breaks.map(({ kind }) => kind)], [false, 0, ['checkpoint']]);
    }
    const chainOnly = await verifyBundle(nodePrimitives, parsed(text), vkey, { chainOnly: true });
    t.like(chainOnly, { ok: true, signed: 0 });
  }
  const { key: __, ...anonymous } = JSON.parse(head) as Record<string, unknown>;
  const text = [JSON.stringify(anonymous), ...rest].join('\n');
  t.true((await verdict(text)).ok);
  t.like((await verdict(text, '')).breaks[0], { kind: 'checkpoint' });
});

test('what is no bundle is refused with its line, and never ends the reader', async (t) => {
  const whole = bundleText(await evidence).split('\n');
  for (const [text, line] of [
    ['', 1],
    ['x', 1],
    ['{"format":"other"}', 1],
    [`${whole[0]}\n{"tile":"../../etc/passwd","bytes":""}`, 2],
    [`${whole[0]}\n{"seq":-1,"shard":0,"storedAt":0,"bytes":""}`, 2],
    [
      `${whole[0]}\n{"seq":2,"shard":0,"storedAt":0,"bytes":""}\n{"seq":1,"shard":0,"storedAt":0,"bytes":""}`,
      3,
    ],
    [`${whole[0]}\n{"seq":2,"shard":0,"storedAt":0,"bytes":"!"}`, 2],
  ] as const) {
    const bundle = parseBundle(text);
    t.true('problem' in bundle && bundle.line === line, JSON.stringify(bundle).slice(0, 200));
  }
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.oneof(fc.json(), fc.string(), fc.constantFrom(...whole)), { maxLength: 12 }),
      async (lines) => {
        const bundle = parseBundle([whole[0], ...lines].join('\n'));
        if (!('messages' in bundle)) return;
        const report = await verifyBundle(nodePrimitives, bundle, vkey);
        t.true(typeof report !== 'string');
      },
    ),
    { numRuns: cases(300, 80) },
  );
  const folder = mkdtempSync(join(tmpdir(), 'if-bundle-'));
  try {
    const file = join(folder, 'a.ifbundle');
    writeFileSync(file, 'x\n');
    const error = await t.throwsAsync(readBundleFile(file));
    t.like(error, { code: 'bad_bundle' });
    t.regex(error.message, /a\.ifbundle:1: /);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test.skipIf(isEveryday)('the page in Chromium gives the same verdict as Node', async (t) => {
  const command = findChromium();
  if (command === undefined) {
    t.log('skipped: Chromium is not installed (Debian: chromium)');
    t.pass();
    return;
  }
  const folder = mkdtempSync(join(tmpdir(), 'if-page-'));
  try {
    await using browser = await Chromium.start(command);
    for (const [name, text, ok] of await bundles()) {
      const file = join(folder, `${name}.ifbundle`);
      writeFileSync(file, text);
      const page = await browser.page(PAGE);
      await browser.evaluate(
        page,
        `document.getElementById('trust').value = ${JSON.stringify(vkey)}; undefined`,
      );
      const done = browser.evaluate(
        page,
        `new Promise((resolve) => {
          const result = document.getElementById('result');
          new MutationObserver(() => {
            if (['good', 'bad'].includes(result.className)) setTimeout(() => resolve([result.className, result.innerText]));
          }).observe(result, { attributes: true });
        })`,
      );
      await browser.chooseFile(page, '#file', file);
      const [className, shown] = (await done) as [string, string];
      t.is(className, ok ? 'good' : 'bad', `${name}: ${shown}`);
      const report = await verdict(text);
      for (const { what } of report.breaks.slice(0, 5)) t.true(shown.includes(what), `${what} in ${shown}`);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});
