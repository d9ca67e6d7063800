/** `infrafabric verify` on a realm that runs, and on a bundle of it without one. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DiscardPolicy, jetstream, jetstreamManager } from '@nats-io/jetstream';
import { Objm } from '@nats-io/obj';
import { connect } from '@nats-io/transport-node';
import test from 'ava';
import { formatVerifierKey } from '#runtime/witness/note';
import { CliFolder, type Ended } from '../rig/cli.ts';
import { newSigner } from './evidence.ts';

const CONFIG = `realm: r
shards: 2
durability: relaxed
kinds: { counter: { machine: counter, spawnOnMessage: true, door: open } }
supervisor: { children: [] }
`;

interface Verdict {
  readonly ok: boolean;
  readonly commits: number;
  readonly signed: number;
  readonly trust: string;
  readonly breaks: readonly { readonly kind: string; readonly seq?: number; readonly shard?: number }[];
}

test('verify passes a realm that runs and a bundle of it, and names what a stranger put into either', async (t) => {
  await using folder = new CliFolder();
  writeFileSync(join(folder.path, 'realm.yaml'), CONFIG);
  const run = async (code: number, ...args: string[]): Promise<Ended> => {
    const ended = await folder.run(args);
    t.is(ended.code, code, `${args.join(' ')}\n${ended.out}${ended.err}`);
    return ended;
  };
  const verdict = async (code: number, ...args: string[]): Promise<Verdict> =>
    JSON.parse((await run(code, 'verify', ...args, '--json')).out) as Verdict;

  await run(0, 'up', '-d');
  for (let nth = 0; nth < 5; nth++) await run(0, 'ask', `counter/k${nth}`, 'inc');
  const size = (await verdict(0, '--chain-only')).commits;
  t.true(size >= 7, 'five asks and two epochs');
  // A second at most, says the witness; a test machine may be slow.
  for (const deadline = Date.now() + 10_000; (await verdict(0)).signed < size && Date.now() < deadline; );
  t.like(await verdict(0), { ok: true, commits: size, signed: size, trust: 'key of the realm', breaks: [] });
  t.like(await verdict(0, '--from', '2', '--to', '4'), { ok: true, commits: 3, signed: 3 });
  t.regex((await run(0, 'verify')).out, /✓ \d+ commits .* are what they were/);

  for (const [args, problem] of [
    [['--from', '5', '--to', '3'], /empty_range\]: --from 5 is past --to 3/],
    [['--from', '99999'], new RegExp(`empty_range\\]: --from 99999 .* the log ends at ${size}`)],
    [['--to', '0'], /empty_range\]: --to 0 .* the log begins at 1/],
  ] as const)
    t.regex((await run(2, 'verify', ...args)).err, problem);
  t.regex((await run(1, 'witness', 'proof', '7/0')).err, /no_such_shard.*2 shards.*no shard 7/);

  const key = (await run(0, 'witness', 'key')).out.trim();
  const [, , encoded = ''] = /^(.+)\+[0-9a-f]{8}\+(.+)$/.exec(key) ?? [];
  t.regex(
    (await run(1, 'verify', '--key', key.replace(encoded, `${encoded.slice(0, -3)}AA=`))).err,
    /bad_evidence\]: --key: a mistyped verifier key.*`infrafabric witness key`/,
  );
  writeFileSync(join(folder.path, 'my.vkey'), `${key}\n`);
  t.regex((await run(1, 'verify', '--key', 'my.vkey')).err, /my\.vkey is a file: --key "\$\(cat my\.vkey\)"/);
  const other = formatVerifierKey(newSigner().key);
  const refused = await run(1, 'verify', '--key', other, '--wait', '10ms');
  t.regex(refused.out, /✗ \d+ commits .* are not vouched for/);
  t.true(refused.out.includes(`, but by ${key.slice(0, key.lastIndexOf(`+${encoded}`))}`), refused.out);
  t.notRegex(refused.out, /breaks? in/);
  t.like(await verdict(0, '--key', key), { trust: 'given', signed: size });
  await run(0, 'verify', '--export', 'log.ifbundle');
  const bundle = readFileSync(join(folder.path, 'log.ifbundle'), 'utf8');

  const { NATS_URL } = JSON.parse((await run(0, 'env', '--json')).out) as { NATS_URL: string };
  const { host, username } = new URL(NATS_URL);
  const stranger = await connect({ servers: host, token: username });
  await jetstream(stranger).publish('if.log.1', 'no commit');
  const broken = await verdict(1, '--chain-only');
  t.like(broken, { ok: false, commits: size + 1 });
  t.like(broken.breaks[0], { kind: 'unreadable', seq: size + 1, shard: 1 });
  t.regex((await run(1, 'verify')).out, /1 commit behind that not signed yet/);
  t.regex((await run(1, 'verify')).out, /unreadable +shard 1, sequence \d+: its bytes are no commit/);

  // Lowered and put back: the log begins with its fourth commit, and no archive has the others.
  const jsm = await jetstreamManager(stranger);
  await jsm.streams.update('IF_LOG', { max_msgs: size - 2, discard: DiscardPolicy.Old });
  await jsm.streams.update('IF_LOG', { max_msgs: -1, discard: DiscardPolicy.New });
  await stranger.close();
  // Who brings a key waits for the checkpoint, which does not come: the witness signs nothing behind what it cannot read.
  const beheaded = await verdict(1, '--key', key, '--wait', '10ms');
  t.like(beheaded, { ok: false, commits: size - 2 });
  t.deepEqual(
    beheaded.breaks.slice(0, 3).map(({ kind, seq }) => `${kind}@${seq}`),
    [`unsigned@${size + 1}`, 'removed@1', 'removed@2'],
  );
  t.like((await verdict(1, '--chain-only')).breaks[0], { kind: 'removed', seq: 1 });
  await run(0, 'verify', '--from', '4', '--to', '5');

  await run(0, 'down');
  t.regex(
    (await run(2, 'verify', '--bundle', 'log.ifbundle', '--from', '99')).err,
    new RegExp(`empty_range\\]: .* the bundle ends at ${size}`),
  );
  t.like(await verdict(0, '--bundle', 'log.ifbundle', '--key', key), {
    ok: true,
    commits: size,
    signed: size,
  });
  const lines = bundle.trimEnd().split('\n');
  const nth = lines.findIndex((line) => line.startsWith('{"seq":4,'));
  const message = JSON.parse(lines[nth] ?? '') as { bytes: string };
  const altered = JSON.stringify({ ...message, bytes: flipped(message.bytes) });
  writeFileSync(join(folder.path, 'bad.ifbundle'), `${lines.with(nth, altered).join('\n')}\n`);
  const bad = await verdict(1, '--bundle', 'bad.ifbundle', '--key', key);
  t.like(bad.breaks[0], { kind: 'altered', seq: 4 });
  t.is(bad.breaks.length, 1);
  writeFileSync(join(folder.path, 'junk.ifbundle'), 'junk');
  t.regex((await folder.run(['verify', '--bundle', 'junk.ifbundle'])).err, /bad_bundle|no bundle/);
});

test('verify reads the snapshots too, and names an object that is not what the log states', async (t) => {
  await using folder = new CliFolder();
  writeFileSync(join(folder.path, 'realm.yaml'), `${CONFIG}limits: { snapshotEvery: 4 }\n`);
  const run = async (code: number, ...args: string[]): Promise<Ended> => {
    const ended = await folder.run(args);
    t.is(ended.code, code, `${args.join(' ')}\n${ended.out}${ended.err}`);
    return ended;
  };
  await run(0, 'up', '-d');
  for (let n = 0; n < 6; n += 1) await run(0, 'ask', 'counter/k1', 'inc');
  const { NATS_URL } = JSON.parse((await run(0, 'env', '--json')).out) as { NATS_URL: string };
  const { host, username } = new URL(NATS_URL);
  const connection = await connect({ servers: host, token: username });
  const objects = await new Objm(connection).open('if_obj');
  const stored = async (): Promise<string[]> =>
    (await objects.list()).filter(({ deleted }) => !deleted).map(({ name }) => name);
  const snapshots = async (): Promise<Snapshots> =>
    (JSON.parse((await run(0, 'verify', '--json')).out) as { readonly snapshots: Snapshots }).snapshots;
  // Manifest, tables, an index and a page.
  for (const deadline = Date.now() + 10_000; (await snapshots()).blobs < 4 && Date.now() < deadline; ) {
    await run(0, 'ask', 'counter/k1', 'inc');
  }
  t.true((await snapshots()).snapshots >= 1);
  t.regex((await run(0, 'verify')).out, /snapshots? \(\d+ objects\) as the log states/);

  const page = (await stored()).find((name) => /\/\d+$/.test(name)) ?? '';
  await objects.putBlob({ name: page }, Buffer.from('another state'));
  const { breaks } = JSON.parse((await run(1, 'verify', '--json')).out) as Verdict;
  t.deepEqual(
    breaks.map(({ kind }) => kind),
    ['snapshot'],
  );
  t.regex(
    (await run(1, 'verify')).out,
    new RegExp(`snapshot +shard \\d, commit \\d+: ${page} is not what it was`),
  );
  for (const name of await stored()) if (name.startsWith('snapshot/')) await objects.delete(name);
  await connection.close();
  t.regex(
    (await run(1, 'verify')).out,
    /snapshot +shard \d, commit \d+, sequence \d+: it states snapshot\S+, which is gone/,
  );
  await run(0, 'down');
});

interface Snapshots {
  readonly snapshots: number;
  readonly blobs: number;
}

/** The last bit of a base64 text's bytes. */
function flipped(base64: string): string {
  const bytes = Buffer.from(base64, 'base64');
  const last = bytes.byteLength - 1;
  bytes[last] = (bytes[last] ?? 0) ^ 1;
  return bytes.toString('base64');
}
