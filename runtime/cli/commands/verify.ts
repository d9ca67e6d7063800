/** `verify`: reads the log as anyone may, and says whether it is what it was. */
import { readFileSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { Command } from 'commander';
import { natsBlobs } from '#runtime/bus/nats-blobs';
import { successorsOf } from '#runtime/keys/realm-history';
import { readBundleFile, writeBundleFile } from '#runtime/witness/bundle-file';
import { utf8 } from '#runtime/witness/bytes';
import type { LogReader } from '#runtime/witness/log-reader';
import { nodePrimitives } from '#runtime/witness/node-crypto';
import { formatVerifierKey, type VerifierKey, verifierKey } from '#runtime/witness/note';
import { natsWitnessStore, type WitnessStore } from '#runtime/witness/service/state-store';
import { tilePath } from '#runtime/witness/tiles';
import { verifyErrors } from '#runtime/witness/verify/errors';
import { trustOf, verifyBundle } from '#runtime/witness/verify/offline';
import type { FindTile } from '#runtime/witness/verify/signed-tree';
import { type SnapshotFindings, verifySnapshots } from '#runtime/witness/verify/snapshots';
import { StatedSnapshots } from '#runtime/witness/verify/stated-snapshots';
import {
  type Evidence,
  judgeCheckpoint,
  type Report,
  type Trust,
  verifyLog,
} from '#runtime/witness/verify/verify';
import { FabricError } from '#schemas/fabric-error';
import { declare, durationMs, handle, type Shell, wholeNumber } from '../command.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import type { Io, Out } from '../io.ts';
import { type Realm, withRealm } from '../realm.ts';
import { reportJson, reportLines } from '../render/verify.ts';
import { refuseEmptyRange } from '../verify-range.ts';
import { readKeyring } from './keys/place.ts';
import { witnessRead } from './witness/status.ts';

interface Options {
  readonly from?: number;
  readonly to?: number;
  readonly checkpoint?: string;
  readonly key?: string;
  readonly policy?: string;
  readonly bundle?: string;
  readonly export?: string;
  readonly wait?: number;
  readonly chainOnly?: boolean;
  readonly all?: boolean;
}

/** Where a checkpoint comes from, and whether the realm itself named the key. */
interface Given {
  readonly evidence: Evidence | undefined;
  readonly isOwnKey: boolean;
  /** Of the commits that were there when it was asked for, none may be without a signature. */
  readonly wantsAllSigned: boolean;
  /** What was given, as it goes into a bundle. */
  readonly texts: { readonly checkpoint?: string; readonly key?: string; readonly policy?: string };
}

export function verifyCommand(shell: Shell): Command {
  const command = declare({
    name: 'verify',
    summary: 'check that the log is what it was',
    description:
      'Reads the log and checks its chain, and every commit against the signed Merkle tree; then the snapshots against the log. Ends with exit code 1 and names the first break where anything was altered, removed, reordered, inserted, back-dated or cut off. Whose signature counts you say with --key or --policy; otherwise it is the key that the realm itself names, which protects from everybody but its operator.',
    group: 'Look',
    examples: [
      ['infrafabric verify', 'the whole log of the realm of this folder'],
      ['infrafabric verify --policy trusted.policy', 'with the log key and the cosigners that you trust'],
      ['infrafabric verify --from 1000 --to 2000', 'a range, by sequence in the log'],
      ['infrafabric verify --export log.ifbundle', 'and put it into a file that others can check'],
      [
        'infrafabric verify --bundle log.ifbundle --key "$(cat realm.vkey)"',
        'such a file, with no realm and no server',
      ],
    ],
  })
    .option('--from <seq>', 'first sequence in the log', wholeNumber)
    .option('--to <seq>', 'last sequence in the log', wholeNumber)
    .option('--checkpoint <file>', 'a signed checkpoint that you kept; the newest of the realm when absent')
    .option('--key <vkey>', 'verifier key that must have signed the checkpoint')
    .option('--policy <file>', 'C2SP tlog-policy: logs, witnesses and the quorum that must have signed')
    .option(
      '--wait <time>',
      'for the checkpoint of the newest commits, with --key, --policy or --export; 30s when absent',
      durationMs,
    )
    .option('--chain-only', 'check the links between commits, without checkpoint and tree')
    .option('--bundle <file>', 'check an exported bundle instead of a realm')
    .option('--export <file>', 'write what was checked into a bundle')
    .option('--all', 'list every break, not the first ten');
  return handle<[], Options>(shell, command, async ({ io, out, options }) => {
    if (options.bundle !== undefined) return await verifyFile(options.bundle, options, io, out);
    return await withRealm(options, io, (realm) => verifyRealm(realm, options, io, out));
  });
}

async function verifyRealm(realm: Realm, options: Options, io: Io, out: Out): Promise<ExitCode> {
  refuseEmptyRange(options, { first: 1, last: Number.POSITIVE_INFINITY }, 'log');
  const log = await realm.openLog();
  const { last } = await log.range();
  const given = options.chainOnly === true ? NOTHING : await evidenceOf(realm, { options, io, out, last });
  const startedAt = performance.now();
  const ticker = tick(io, out, last);
  const stated = new StatedSnapshots();
  const report = await verifyLog({
    primitives: nodePrimitives,
    log: isWhole(options) ? stated.over(log) : log,
    ...(given.evidence !== undefined && { evidence: given.evidence }),
    ...rangeOf(options),
    ...(given.wantsAllSigned && { signedThrough: last }),
    signal: io.signal,
    progress: ticker.progress,
  });
  ticker.stop();
  // Only now is known how far the log went when it was signed: what was cut off since is a break, and no wrong range.
  if (report.last > 0) refuseEmptyRange(options, { first: 1, last: report.last }, 'log');
  const snapshots = isWhole(options) ? await snapshotsOf(realm, log, stated, io) : undefined;
  const tookMs = performance.now() - startedAt;
  if (options.export !== undefined) {
    const file = resolve(io.cwd, options.export);
    const size = report.checkpoint?.size ?? 0;
    // Who reads the bundle asks for signatures: what waits for one is not in it.
    const through = report.checkpoint === undefined ? report.through : Math.min(report.through, size);
    if (through < report.from) {
      const message = `No checkpoint covers sequence ${report.from} yet: nothing was written to ${options.export}`;
      throw new FabricError(verifyErrors.not_signed_yet, message, { details: { from: report.from, size } });
    }
    const head = { from: report.from, through, ...given.texts };
    const tile: FindTile = given.evidence?.tile ?? (async () => undefined);
    await writeBundleFile(file, { log, head, size, tile, signal: io.signal });
  }
  const told = { tookMs, keyFrom: given.isOwnKey ? 'realm' : undefined, exported: options.export } as const;
  if (snapshots === undefined) return tell(report, told, options, out);
  const breaks = [...report.breaks, ...snapshots.breaks];
  const breakCount = report.breakCount + snapshots.breaks.length;
  const whole = { ...report, ok: breakCount === 0, breaks, breakCount };
  return tell(whole, { ...told, snapshots }, options, out);
}

/** A part of the log says nothing of the snapshots: they are stated at its end. */
function isWhole({ from, to, chainOnly, checkpoint }: Options): boolean {
  return from === undefined && to === undefined && checkpoint === undefined && chainOnly !== true;
}

async function snapshotsOf(
  realm: Realm,
  log: LogReader,
  { newest: stated }: StatedSnapshots,
  io: Io,
): Promise<SnapshotFindings> {
  const { connection, subjects } = realm;
  const blobs = await natsBlobs(connection, subjects);
  return await verifySnapshots({ blobs, log, stated, signal: io.signal });
}

async function verifyFile(file: string, options: Options, io: Io, out: Out): Promise<ExitCode> {
  statedTrust(options, io);
  const bundle = await readBundleFile(resolve(io.cwd, file));
  refuseEmptyRange(options, { first: bundle.from, last: bundle.through }, 'bundle');
  const startedAt = performance.now();
  const { from, through } = rangeOf(options);
  const report = await verifyBundle(nodePrimitives, bundle, trustText(options, io) ?? '', {
    ...(from !== undefined && { from }),
    ...(through !== undefined && { through }),
    ...(options.checkpoint !== undefined && { checkpoint: readText(options.checkpoint, io) }),
    chainOnly: options.chainOnly === true,
    signal: io.signal,
  });
  if (typeof report === 'string') throw new FabricError(verifyErrors.bad_evidence, `${file}: ${report}`);
  const { isOwnTrust, ...rest } = report;
  const keyFrom = isOwnTrust ? 'bundle' : undefined;
  const told = { tookMs: performance.now() - startedAt, keyFrom, exported: undefined } as const;
  return tell(rest, told, options, out);
}

const NOTHING: Given = { evidence: undefined, isOwnKey: false, wantsAllSigned: false, texts: {} };

interface Asked {
  readonly options: Options;
  readonly io: Io;
  readonly out: Out;
  /** Where the log ended when it was asked for. */
  readonly last: number;
}

async function evidenceOf(realm: Realm, asked: Asked): Promise<Given> {
  const { options, io, out } = asked;
  const store = await natsWitnessStore(realm.connection, realm.subjects.buckets.witness);
  const { value: state } = await store.state();
  const stated = statedTrust(options, io);
  const given = stated ?? (state === undefined ? undefined : parseTrust(state.key, 'the key of the realm'));
  if (given === undefined) return NOTHING;
  const wantsAllSigned = stated !== undefined && options.checkpoint === undefined;
  const held =
    options.checkpoint === undefined
      ? await publishedNote(store, asked, wantsAllSigned || options.export !== undefined)
      : readText(options.checkpoint, io);
  // Who names a key or a policy wants a signature: that there is none is a finding.
  const text = held ?? (stated === undefined ? undefined : '');
  if (text === undefined) return NOTHING;
  const trust = await followRotations(realm, given, text);
  if (trust !== given)
    out.note(`The realm put ${keyText(trust)} in the place of ${keyText(given)}, signed with both.`);
  const tile: FindTile = async (wanted) => {
    try {
      return await witnessRead(realm, tilePath(wanted));
    } catch (thrown) {
      if (thrown instanceof FabricError && thrown.code === 'tile_missing') return undefined;
      throw thrown;
    }
  };
  return {
    evidence: { checkpoint: utf8(text), trust, tile },
    isOwnKey: stated === undefined,
    wantsAllSigned,
    texts: {
      checkpoint: text,
      ...('key' in trust && { key: formatVerifierKey(trust.key) }),
      ...(options.policy !== undefined && { policy: readText(options.policy, io) }),
    },
  };
}

/**
 * The newest checkpoint of the realm. Who asks for signatures, or takes commits away to where nobody can ask for more,
 * waits for that of the newest commits, which is a second away while a node runs.
 */
async function publishedNote(
  store: WitnessStore,
  { options, io, out, last }: Asked,
  waits: boolean,
): Promise<string | undefined> {
  const wanted = Math.min(options.to ?? last, last);
  const deadline = performance.now() + (options.wait ?? SIGNED_WITHIN_MS);
  for (let look = 1; ; look += 1) {
    const cosigned = options.policy === undefined ? undefined : (await store.cosigned()).value;
    const published = cosigned ?? (await store.note()).value;
    if (!waits || published === undefined || published.size >= wanted) return published?.note;
    if (performance.now() >= deadline) return published.note;
    if (look === 1) out.note('The newest commits are not signed yet: waiting for their checkpoint.');
    await pause(SIGNED_LOOK_MS, undefined, { signal: io.signal });
  }
}

/** A trusted key that was rotated stands for the one that took its place, where that one signed the checkpoint. */
async function followRotations(realm: Realm, trust: Trust, text: string): Promise<Trust> {
  if (!('key' in trust)) return trust;
  const signedBy = (key: VerifierKey): boolean =>
    typeof judgeCheckpoint(nodePrimitives, { checkpoint: utf8(text), trust: { key } }) !== 'string';
  if (signedBy(trust.key)) return trust;
  const keyring = await readKeyring(realm);
  if (keyring === undefined) return trust;
  for (const { publicKey } of successorsOf(trust.key.publicKey, keyring)) {
    const bytes = Buffer.from(publicKey, 'base64url');
    const key = verifierKey(nodePrimitives.sha256, trust.key.name, bytes);
    if (signedBy(key)) return { key };
  }
  return trust;
}

function keyText(trust: Trust): string {
  return 'key' in trust ? formatVerifierKey(trust.key) : 'a policy';
}

/** Whom the user trusts, where they say so. Throws `bad_evidence`. */
function statedTrust(options: Options, io: Io): Trust | undefined {
  const text = trustText(options, io);
  if (text === undefined) return undefined;
  if (options.policy === undefined && isFile(resolve(io.cwd, text))) {
    const message = `--key wants the key itself, and ${text} is a file: --key "$(cat ${text})"`;
    throw new FabricError(verifyErrors.bad_evidence, message, { details: { source: '--key' } });
  }
  return parseTrust(text, options.policy ?? '--key');
}

function isFile(path: string): boolean {
  try {
    return statSync(path).isFile();
  } catch {
    // A key is no path: what cannot be looked at is no file that somebody meant.
    return false;
  }
}

function trustText({ key, policy }: Options, io: Io): string | undefined {
  return policy === undefined ? key : readText(policy, io);
}

function parseTrust(text: string, source: string): Trust {
  const trust = trustOf(nodePrimitives, text);
  if (typeof trust !== 'string') return trust;
  throw new FabricError(verifyErrors.bad_evidence, `${source}: ${trust}`, { details: { source } });
}

function readText(file: string, io: Io): string {
  try {
    return readFileSync(resolve(io.cwd, file), 'utf8');
  } catch (cause) {
    throw new FabricError(verifyErrors.bad_evidence, `${file} cannot be read`, { details: { file }, cause });
  }
}

function rangeOf({ from, to }: Options): { from?: number; through?: number } {
  return { ...(from !== undefined && { from: Math.max(1, from) }), ...(to !== undefined && { through: to }) };
}

interface Told {
  readonly tookMs: number;
  readonly keyFrom: 'realm' | 'bundle' | undefined;
  readonly exported: string | undefined;
  readonly snapshots?: SnapshotFindings;
}

function tell(report: Report, told: Told, { all = false }: Options, out: Out): ExitCode {
  out.data(reportJson(report, told));
  out.lines(reportLines(report, { ...told, all }, out.palette));
  return report.ok ? EXIT.ok : EXIT.failure;
}

/** How far it is, on stderr of a terminal. */
function tick(io: Io, out: Out, last: number): { progress(commits: number): void; stop(): void } {
  if (io.stderr.isTTY !== true || out.json) return { progress: () => {}, stop: () => {} };
  let next = 0;
  return {
    progress(commits) {
      const now = performance.now();
      if (now < next) return;
      next = now + REDRAW_MS;
      io.stderr.write(`\r${Math.floor((100 * commits) / Math.max(1, last))}% · ${commits} commits\u001b[K`);
    },
    stop: () => void io.stderr.write('\r\u001b[K'),
  };
}

const REDRAW_MS = 200;
/** A checkpoint is a second behind by default; a machine may be slow. */
const SIGNED_WITHIN_MS = 30_000;
const SIGNED_LOOK_MS = 100;
