/** `archive`: moves old commits out of the stream, with everything that proves them. */
import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { archiveLog } from '#runtime/archive/archiver';
import { archiveErrors } from '#runtime/archive/errors';
import { readManifest, throughOf } from '#runtime/archive/manifest';
import { Marks } from '#runtime/archive/mark';
import { archiveParts, realmTile } from '#runtime/archive/open';
import { openStore } from '#runtime/archive/store';
import { type ArchiveVerdict, verifyArchive } from '#runtime/archive/verify';
import { readCommitHead } from '#runtime/witness/commit-head';
import type { LogReader } from '#runtime/witness/log-reader';
import { FabricError } from '#schemas/fabric-error';
import { type Distribution, machineNames } from '../builtins.ts';
import { declare, handle, moment, type Shell, wholeNumber } from '../command.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import type { Io, Out } from '../io.ts';
import { findConfig } from '../locate.ts';
import { type Realm, withRealm } from '../realm.ts';
import { count, plural } from '../render/format.ts';
import type { Palette } from '../render/palette.ts';

/** Newest commits that stay when nobody says how many. */
const KEEP_DEFAULT = 100_000;

interface Options {
  readonly config?: string;
  readonly to?: string;
  readonly until?: { readonly at: number } | { readonly seq: number };
  readonly keep?: number;
  readonly dryRun?: boolean;
}

interface VerifyOptions {
  readonly key?: readonly string[];
  readonly chainOnly?: boolean;
}

export function archiveCommand(shell: Shell): Command {
  const command = declare({
    name: 'archive',
    summary: 'move old commits to files or an S3-compatible store',
    description:
      'Writes old commits with their tiles into segments, verifies each and reads it back, and only then lets the stream drop what no recovery needs. Replay, queries and verification go on reading both. A run that was interrupted goes on where it was.',
    group: 'Run',
    examples: [
      ['infrafabric archive --to ./archive', `all but the newest ${count(KEEP_DEFAULT)} commits`],
      ['infrafabric archive --to s3://audit/realm --until 30d', 'what is older than thirty days'],
      ['infrafabric archive --dry-run', 'what would be moved'],
      ['infrafabric archive verify ./archive', 'every segment by itself, with no realm'],
    ],
  })
    .option(
      '--to <place>',
      'folder or s3://bucket/prefix; `archive.to` of the config, or the last one, when absent',
    )
    .option('--until <place>', 'up to a time (30d ago, or a date) or a sequence', until)
    .option('--keep <n>', 'newest commits that stay', wholeNumber)
    .option('-n, --dry-run', 'only say what would be moved');
  handle<[], Options>(shell, command, ({ io, out, options, builtins }) =>
    withRealm(options, io, (realm) => run(realm, options, { io, out, builtins })),
  );
  return command.addCommand(statusCommand(shell)).addCommand(verifyCommand(shell));
}

interface Surroundings {
  readonly io: Io;
  readonly out: Out;
  readonly builtins: Distribution['builtins'];
}

async function run(realm: Realm, options: Options, around: Surroundings): Promise<ExitCode> {
  const { io, out } = around;
  const { connection: nc, subjects } = realm;
  const [status] = await realm.statuses();
  if (status === undefined)
    throw new FabricError(archiveErrors.archive_unverified, 'No node of the realm answers');
  const place = await placeOf(realm, options, around);
  const store = openStore(place.to, place.baseDir, io.env);
  const parts = await archiveParts({
    nc,
    subjects,
    shards: status.shardCount ?? 1,
    realm: status.realm,
    store,
    tile: realmTile(nc, subjects),
  });
  const result = await archiveLog(parts, {
    holder: `cli.${randomUUID()}`,
    until: await sequenceOf(options.until, parts.stream),
    keep: options.keep ?? place.keep ?? (options.until === undefined ? KEEP_DEFAULT : 0),
    dryRun: options.dryRun === true,
    signal: io.signal,
    progress: (done, total) => {
      if (io.stderr.isTTY === true && !out.json) {
        io.stderr.write(
          `\r${count(done)} of ${count(total)} commits\u001b[K${done >= total ? '\r\u001b[K' : ''}`,
        );
      }
    },
  });
  out.data({ ...result, dryRun: options.dryRun === true });
  const { good, faint } = out.palette;
  const what = `${plural(result.commits, 'commit')} (sequence ${count(result.from)} to ${count(result.through)})`;
  if (result.commits === 0) out.lines([`Nothing to archive: ${result.place} has all there is to move.`]);
  else if (options.dryRun === true) out.lines([`Would move ${what} to ${result.place}`]);
  else
    out.lines([
      `${good('✓')} ${what} in ${plural(result.segments, 'segment')} of ${result.place}, verified and read back`,
    ]);
  if (options.dryRun !== true) {
    out.lines([
      faint(
        `  the stream begins with sequence ${count(result.streamFirst)}${result.kept === undefined ? '' : `; ${result.kept}`}`,
      ),
    ]);
  }
  return EXIT.ok;
}

function statusCommand(shell: Shell): Command {
  const command = new Command('status')
    .description('what is archived, and where')
    .argument('[place]', 'the archive; that of the realm when absent');
  return handle<[string?], Options>(shell, command, ({ io, out, options, builtins }, to) =>
    withRealm(options, io, async (realm) => {
      const chosen = { ...options, ...(to !== undefined && { to }) };
      const place = await placeOf(realm, chosen, { io, out, builtins });
      const store = openStore(place.to, place.baseDir, io.env);
      const manifest = await readManifest(store);
      const { mark } = await (await Marks.open(realm.connection, realm.subjects.buckets.witness)).read();
      const through = manifest === undefined ? 0 : throughOf(manifest);
      const segments = manifest?.segments ?? [];
      const bytes = segments.reduce((sum, segment) => sum + segment.bytes, 0);
      out.data({
        place: store.place,
        through,
        segments: segments.length,
        bytes,
        dropped: mark?.dropped ?? 0,
      });
      if (through === 0) out.lines([`Nothing is archived in ${store.place} yet.`]);
      else {
        out.lines([
          `${store.place}: through sequence ${count(through)}, ${plural(segments.length, 'segment')}, ${count(bytes)} bytes`,
          `the stream begins with sequence ${count((mark?.dropped ?? 0) + 1)}`,
        ]);
      }
      return EXIT.ok;
    }),
  );
}

function verifyCommand(shell: Shell): Command {
  const command = new Command('verify')
    .description('check every segment of an archive: whole, signed, and one chain; needs no realm')
    .argument('<place>', 'folder or s3://bucket/prefix')
    .option(
      '--key <vkey>',
      'verifier key that must have signed, once for each key that the realm had; the one in the segments when absent',
      (key: string, before: readonly string[] = []) => [...before, key],
    )
    .option('--chain-only', 'check the links between commits, without signatures');
  return handle<[string], VerifyOptions>(shell, command, async ({ io, out, options }, place) => {
    const { key: keys = [], chainOnly = false } = options;
    const store = openStore(place, io.cwd, io.env);
    const checked = await verifyArchive(store, { keys, chainOnly, signal: io.signal });
    out.data(checked);
    out.lines(verdictLines(checked, store.place, options, out.palette));
    return checked.ok ? EXIT.ok : EXIT.failure;
  });
}

function verdictLines(
  { ok, commits, segments, problem }: ArchiveVerdict,
  place: string,
  { key, chainOnly }: VerifyOptions,
  { good, bad, faint, warn }: Palette,
): string[] {
  if (!ok) return [bad(`✗ ${problem}`)];
  const what = `${plural(commits, 'commit')} in ${plural(segments, 'segment')} of ${place} are what they were`;
  const lines = [`${good('✓')} ${what}`];
  if (chainOnly === true) lines.push(warn('  No signature was checked: anyone can write a chain.'));
  else if (key === undefined) {
    lines.push(
      faint(
        '  with the keys in the segments themselves, which only shows that they agree with themselves; bring yours with --key',
      ),
    );
  }
  return lines;
}

/** Where the archive of a realm is: as said, as the config says, or where the last run put it. Throws `archive_missing`. */
async function placeOf(
  realm: Realm,
  { to, config: named }: Options,
  { io, builtins }: Surroundings,
): Promise<{ readonly to: string; readonly baseDir: string; readonly keep?: number }> {
  if (to !== undefined) return { to, baseDir: io.cwd };
  const file = named === undefined ? findConfig(io.cwd) : resolve(io.cwd, named);
  if (file !== undefined && existsSync(file)) {
    const { loadConfig } = await import('#runtime/supervise/load-config');
    const { archive } = loadConfig(file, { env: io.env, machines: machineNames(await builtins()) }).config;
    if (archive !== undefined) return { to: archive.to, baseDir: dirname(file), keep: archive.keep };
  }
  const { mark } = await (await Marks.open(realm.connection, realm.subjects.buckets.witness)).read();
  if (mark !== undefined) return { to: mark.place, baseDir: '/' };
  throw new FabricError(archiveErrors.archive_missing, 'No archive is named, neither here nor in the config');
}

/** The last sequence that is old enough. */
async function sequenceOf(wanted: Options['until'], stream: LogReader): Promise<number> {
  if (wanted === undefined) return Number.POSITIVE_INFINITY;
  if ('seq' in wanted) return wanted.seq;
  let { first, last } = await stream.range();
  // Times grow with the sequence, but for what shards' clocks differ by.
  while (first <= last) {
    const middle = Math.floor((first + last) / 2);
    const message = await stream.get(middle);
    const at = message === undefined ? undefined : readCommitHead(message.bytes)?.at;
    if (at !== undefined && at > wanted.at) last = middle - 1;
    else first = middle + 1;
  }
  return last;
}

function until(text: string): { readonly at: number } | { readonly seq: number } {
  if (/^\d{1,15}$/.test(text)) return { seq: Number(text) };
  try {
    return { at: moment(Date.now)(text) };
  } catch {
    throw new InvalidArgumentError('Expected a time such as 30d or 2026-01-31T12:00:00Z, or a sequence.');
  }
}
