/** What no tampering gets past: V1–V3 of runtime/witness/verify/verifier.ts, T1–T2 of signed-tree.ts. */
import test from 'ava';
import fc from 'fast-check';
import { WholeLog } from '#runtime/archive/reader';
import { decodeCommit, encodeCommit } from '#runtime/bus/codec';
import type { LogMessage, LogReader } from '#runtime/witness/log-reader';
import { nodePrimitives } from '#runtime/witness/node-crypto';
import { type Tile, tilePath } from '#runtime/witness/tiles';
import type { BreakKind } from '#runtime/witness/verify/break';
import { verifyLog } from '#runtime/witness/verify/verify';
import { bitsOf, cases } from '../rig/effort.ts';
import { isEveryday } from '../rig/tier.ts';
import {
  type Case,
  evidenceOver,
  flip,
  logOf,
  newSigner,
  realLog,
  signedCheckpoint,
  verifyCase,
} from './evidence.ts';

const signer = newSigner();
// Made before the tests begin: those keep the event loop busy, and no node could say that it is up.
const larger = await realLog(700, 4);
/** Both lives of the node are in it. */
const small = larger.slice(0, 14);

function caseOf(messages: readonly LogMessage[]): Case {
  return evidenceOver(messages, signer);
}

/** The messages as a server that was filled anew would store them: one sequence after the other. */
function resequenced(messages: readonly LogMessage[]): LogMessage[] {
  return messages.map((message, n) => ({ ...message, seq: n + 1 }));
}

/** As a stream holds them: its first message may be a later one of the log. */
function readerOf(messages: readonly LogMessage[]): LogReader {
  const read: LogReader['read'] = async function* (from, through) {
    yield messages.filter(({ seq }) => seq >= from && seq <= through);
  };
  return {
    range: async () => ({ first: messages[0]?.seq ?? 1, last: messages.at(-1)?.seq ?? 0 }),
    read,
    follow: (from) => read(from, Number.POSITIVE_INFINITY),
    get: async (wanted) => messages.find(({ seq }) => seq === wanted),
  };
}

function kinds(breaks: readonly { kind: BreakKind; seq?: number }[]): string[] {
  return breaks.map(({ kind, seq }) => `${kind}@${seq ?? ''}`);
}

test('an untouched log verifies, from the start, from the middle, and past its checkpoint', async (t) => {
  const whole = caseOf(larger);
  const size = whole.messages.length;
  t.true(size > 512, String(size));
  const report = await verifyCase(whole, signer);
  t.like(report, { ok: true, commits: size, signed: size, breakCount: 0, checkpoint: { size } });
  t.like(await verifyCase(whole, signer, { from: 300, through: 420 }), {
    ok: true,
    commits: 121,
    signed: 121,
  });
  const earlier = evidenceOver(whole.messages.slice(0, 300), signer);
  t.like(await verifyCase({ ...earlier, messages: whole.messages }, signer), { ok: true, signed: 300 });
  t.like(await verifyLog({ primitives: nodePrimitives, log: logOf(whole.messages) }), {
    ok: true,
    signed: 0,
  });
});

test('a log that begins later than with its first commit is broken, unless an archive has all before it', async (t) => {
  const whole = caseOf(larger);
  const stream = readerOf(whole.messages.slice(300));
  const tile = async (wanted: Tile) => whole.tiles.get(tilePath(wanted));
  const evidence = { checkpoint: whole.checkpoint, trust: { key: signer.key }, tile };
  for (const [archivedThrough, missing] of [
    [0, 300],
    [256, 44],
    [300, 0],
    [400, 0],
  ] as const) {
    const archive = archivedThrough === 0 ? undefined : readerOf(whole.messages.slice(0, archivedThrough));
    const log = new WholeLog(async () => archive, stream);
    for (const proof of [{ evidence }, {}]) {
      const report = await verifyLog({ primitives: nodePrimitives, log, ...proof });
      t.like(report, { ok: missing === 0, from: 1, commits: whole.messages.length - missing });
      if (missing > 0) t.like(report.breaks[0], { kind: 'removed', seq: 301 - missing });
      if ('evidence' in proof) t.is(report.breakCount, missing);
    }
  }
});

test('no bit of a message, tile, bundle or checkpoint can be flipped', async (t) => {
  const whole = caseOf(small);
  let flips = 0;
  const missed: string[] = [];
  const check = async (changed: Case, what: string): Promise<void> => {
    flips += 1;
    if ((await verifyCase(changed, signer)).ok) missed.push(what);
  };
  for (const [n, message] of whole.messages.entries()) {
    for (const bit of bitsOf(message.bytes.byteLength)) {
      const messages = whole.messages.with(n, { ...message, bytes: flip(message.bytes, bit) });
      await check({ ...whole, messages }, `message ${n} bit ${bit}`);
    }
    await check(
      { ...whole, messages: whole.messages.with(n, { ...message, shard: message.shard ^ 1 }) },
      `shard ${n}`,
    );
  }
  for (const [path, bytes] of whole.tiles) {
    for (const bit of bitsOf(bytes.byteLength)) {
      await check(
        { ...whole, tiles: new Map([...whole.tiles, [path, flip(bytes, bit)]]) },
        `${path} bit ${bit}`,
      );
    }
  }
  for (const bit of bitsOf(whole.checkpoint.byteLength)) {
    await check({ ...whole, checkpoint: flip(whole.checkpoint, bit) }, `checkpoint bit ${bit}`);
  }
  t.deepEqual(missed, []);
  t.true(flips > 1_000);
  t.log(`${flips} flips, none missed`);
});

test('every removal, swap, duplication, insertion and truncation is named where it is', async (t) => {
  const whole = caseOf(small);
  const { messages } = whole;
  const size = messages.length;
  const first = async (changed: readonly LogMessage[]): Promise<string | undefined> =>
    kinds((await verifyCase({ ...whole, messages: changed }, signer)).breaks)[0];
  // Of another realm; in a run of every day a later one of this.
  const [other] = isEveryday ? larger.slice(-1) : await realLog(1);
  if (other === undefined) throw new Error('no commit');
  for (let n = 0; n < size; n += 1) {
    const seq = n + 1;
    const without = messages.toSpliced(n, 1);
    const isLast = n === size - 1;
    t.is(await first(without), `${isLast ? 'truncated' : 'removed'}@${seq}`, 'a gap');
    // Stored anew the log is one shorter, and its end is missing too.
    const shifted = await first(resequenced(without));
    t.true(shifted === `removed@${seq}` || shifted === `truncated@${seq}`, `${shifted} for ${seq}`);
    t.is(await first(messages.slice(0, n)), `truncated@${seq}`);
    const message = messages[n] as LogMessage;
    t.is(
      await first(resequenced(messages.toSpliced(n, 0, message))),
      `duplicated@${n === size - 1 ? size + 1 : seq + 1}`,
    );
    // Nothing was signed behind the last: what stands in its place there is simply another.
    const put = await first(resequenced(messages.toSpliced(n, 0, other)));
    t.is(put, `${n === size - 1 ? 'altered' : 'inserted'}@${seq}`);
    for (let m = n + 1; m < size; m += 1) {
      const swapped = messages.with(n, messages[m] as LogMessage).with(m, message);
      t.is(await first(resequenced(swapped)), `reordered@${seq}`, `${n} and ${m}`);
    }
  }
});

test('who writes the chain anew after a change, or dates a commit back, is found by the tree, and without one by the chain', async (t) => {
  const whole = caseOf(small);
  /** Changes one commit and links all behind it to it again. */
  const rewritten = (
    n: number,
    change: (commit: ReturnType<typeof decodeCommit>) => object,
  ): LogMessage[] => {
    const links = new Map<number, Uint8Array>();
    return whole.messages.map((message, m) => {
      const commit = decodeCommit(message.bytes);
      const prev = links.get(message.shard);
      const linked = { ...commit, ...(prev !== undefined && { prev }) };
      const bytes =
        m < n ? message.bytes : encodeCommit({ ...linked, ...(m === n && change(commit)) } as never);
      links.set(message.shard, nodePrimitives.sha256(bytes));
      return { ...message, bytes };
    });
  };
  for (let n = 0; n < whole.messages.length; n += 1) {
    const back = rewritten(n, ({ at }) => ({ at: at - 86_400_000 * 2 }));
    const report = await verifyCase({ ...whole, messages: back }, signer);
    t.is(kinds(report.breaks)[0], `altered@${n + 1}`);
    const chainOnly = await verifyLog({ primitives: nodePrimitives, log: logOf(back) });
    t.is(kinds(chainOnly.breaks)[0], `back_dated@${n + 1}`);
    const rich = rewritten(n, ({ entries }) => ({ entries: [...entries, ...entries] }));
    if (decodeCommit(whole.messages[n]?.bytes ?? new Uint8Array()).entries.length > 0) {
      t.false((await verifyCase({ ...whole, messages: rich }, signer)).ok);
    }
  }
  // A tree that its own operator signed over a broken chain is no excuse for the chain.
  const [, , third] = whole.messages;
  const cut = resequenced(whole.messages.toSpliced(2, 1));
  const report = await verifyCase(evidenceOver(cut, signer), signer);
  t.false(report.ok, `commit ${third?.seq} was left out before the tree was built`);
});

test('a leaf that was signed for another sequence is a break, and no excuse for the commit it is of', async (t) => {
  for (let n = 1; n <= small.length; n += 1) {
    const one = evidenceOver(small, signer, (leaf) => (leaf.seq === n ? { ...leaf, seq: n + 1 } : leaf));
    const { ok, breaks } = await verifyCase(one, signer);
    t.deepEqual([ok, kinds(breaks)], [false, [`altered@${n}`]]);
    t.is(breaks[0]?.what, `its leaf is of sequence ${n + 1}`);
  }
  const cut = resequenced(small.toSpliced(2, 1));
  const honest = await verifyCase(evidenceOver(cut, signer), signer);
  const lying = await verifyCase(
    evidenceOver(cut, signer, (leaf) => ({ ...leaf, seq: leaf.seq + 1, at: leaf.at + 1 })),
    signer,
  );
  const ofLeaves = lying.breaks.filter(({ what }) => what.startsWith('its leaf '));
  t.is(ofLeaves.length, 2 * cut.length, 'sequence and time of each');
  t.true(honest.breakCount > 0);
  t.deepEqual(
    lying.breaks.filter((found) => !ofLeaves.includes(found)),
    honest.breaks,
    'what the chain says of them is said all the same',
  );
});

test('a message under a subject of no shard is a break that names none', async (t) => {
  const whole = caseOf(small);
  const [first] = small;
  if (first === undefined) throw new Error('no commit');
  const stray = { ...first, shard: Number.NaN };
  for (const [messages, kind] of [
    [small.with(0, stray), 'altered@1'],
    [resequenced(small.toSpliced(3, 0, { ...stray, bytes: new Uint8Array(5) })), 'inserted@4'],
    [resequenced([...small, stray]), `inserted@${small.length + 1}`],
    [resequenced([...small, { ...stray, bytes: new Uint8Array(5) }]), `unreadable@${small.length + 1}`],
  ] as const) {
    const { breaks, heads } = await verifyCase({ ...whole, messages }, signer);
    t.is(kinds(breaks)[0], kind);
    t.false('shard' in (breaks[0] ?? { shard: 0 }), kind);
    t.false(heads.has(Number.NaN));
  }
});

test('the chain alone finds every change but of what nothing links to yet', async (t) => {
  const messages = small;
  const ends = new Map(messages.map(({ shard }, n) => [shard, n]));
  const linked = messages.flatMap(({ shard }, n) => (ends.get(shard) === n ? [] : [n]));
  t.true(linked.length >= 6, String(linked.length));
  const missed: string[] = [];
  const check = async (changed: readonly LogMessage[], what: string): Promise<void> => {
    if ((await verifyLog({ primitives: nodePrimitives, log: logOf(changed) })).ok) missed.push(what);
  };
  for (const n of linked) {
    const message = messages[n] as LogMessage;
    for (const bit of bitsOf(message.bytes.byteLength)) {
      await check(
        messages.with(n, { ...message, bytes: flip(message.bytes, bit) }),
        `message ${n} bit ${bit}`,
      );
    }
    await check(resequenced(messages.toSpliced(n, 1)), `without ${n}`);
    await check(resequenced(messages.toSpliced(n, 0, message)), `${n} twice`);
    for (const [m, other] of messages.entries()) {
      if (m <= n || other.shard !== message.shard) continue;
      await check(resequenced(messages.with(n, other).with(m, message)), `${n} and ${m}`);
    }
  }
  t.deepEqual(missed, []);
});

test('random tampering with log, tiles and checkpoint is always found, and never ends a verifier', async (t) => {
  const whole = caseOf(larger);
  const index = fc.nat({ max: whole.messages.length - 1 });
  const edit = fc.oneof(
    fc.record({ kind: fc.constant('flip' as const), n: index, bit: fc.nat() }),
    fc.record({ kind: fc.constant('drop' as const), n: index, count: fc.integer({ min: 1, max: 40 }) }),
    fc.record({ kind: fc.constant('swap' as const), n: index, m: index }),
    fc.record({ kind: fc.constant('copy' as const), n: index, m: index }),
    fc.record({ kind: fc.constant('garbage' as const), n: index, bytes: fc.uint8Array({ maxLength: 300 }) }),
    fc.record({ kind: fc.constant('tile' as const), n: fc.nat(), bit: fc.nat() }),
    fc.record({ kind: fc.constant('lose tile' as const), n: fc.nat() }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(edit, { minLength: 1, maxLength: 4 }), fc.boolean(), async (edits, anew) => {
      let messages = [...whole.messages];
      const tiles = new Map(whole.tiles);
      for (const one of edits) {
        const at = one.n % Math.max(1, messages.length);
        const message = messages[at];
        if (message === undefined) continue;
        if (one.kind === 'flip') {
          const bytes = flip(message.bytes, one.bit % (message.bytes.byteLength * 8));
          messages = messages.with(at, { ...message, bytes });
        } else if (one.kind === 'drop') messages = messages.toSpliced(at, one.count);
        else if (one.kind === 'swap') {
          const other = messages[one.m % messages.length] as LogMessage;
          messages = messages
            .with(at, { ...other, seq: message.seq })
            .with(one.m % messages.length, { ...message, seq: other.seq });
        } else if (one.kind === 'copy') {
          messages = resequenced(messages.toSpliced(one.m % messages.length, 0, message));
        } else if (one.kind === 'garbage') {
          messages = messages.with(at, { ...message, bytes: one.bytes });
        } else {
          const [path, bytes] = [...tiles][one.n % tiles.size] ?? [];
          if (path === undefined || bytes === undefined) continue;
          if (one.kind === 'lose tile') tiles.delete(path);
          else tiles.set(path, flip(bytes, one.bit % (bytes.byteLength * 8)));
        }
      }
      if (anew) messages = resequenced(messages);
      const isSame =
        messages.length === whole.messages.length &&
        messages.every((message, n) => {
          const was = whole.messages[n];
          return (
            was?.seq === message.seq &&
            was.shard === message.shard &&
            Buffer.compare(was.bytes, message.bytes) === 0
          );
        }) &&
        tiles.size === whole.tiles.size &&
        [...tiles].every(([path, bytes]) => Buffer.compare(bytes, whole.tiles.get(path) ?? bytes) === 0);
      const report = await verifyCase({ ...whole, messages, tiles }, signer);
      t.is(report.ok, isSame, JSON.stringify(edits));
    }),
    { numRuns: cases(300, isEveryday ? 20 : 60) },
  );
});

test('a checkpoint counts only with the signature of the key that was asked for', async (t) => {
  const whole = caseOf(small);
  const stranger = newSigner();
  const report = await verifyCase(whole, stranger);
  t.deepEqual(kinds(report.breaks), ['checkpoint@']);
  t.is(report.signed, 0);
  const renamed = newSigner('example.com/other');
  t.like((await verifyCase(evidenceOver(whole.messages, renamed), renamed)).breaks[0], {
    kind: 'checkpoint',
  });
  const junk = await verifyCase({ ...whole, checkpoint: new Uint8Array(5) }, signer);
  t.regex(junk.breaks[0]?.what ?? '', /no signed note/);
});

test('a signed checkpoint may claim any size: a verifier ends, and says what is missing', async (t) => {
  const whole = caseOf(small);
  const size = 2 ** 52;
  // One leaf hash in the only tile of the edge: the root is what its signer made of it.
  const checkpoint = signedCheckpoint(size, nodePrimitives.sha256(new Uint8Array([1])), signer);
  const report = await verifyCase({ ...whole, checkpoint }, signer);
  t.false(report.ok);
  t.true(report.breakCount > 0);
  const missing = report.breaks.find(({ what }) => /^\d+ sequences have nothing stored$/.test(what));
  t.is(missing?.kind, 'removed', JSON.stringify(report.breaks));
  t.is(missing?.seq, whole.messages.length + 1);
});
