/** `witness status`: how far the log is signed, and what was found wrong with it. */
import { setTimeout as pause } from 'node:timers/promises';
import { Command } from 'commander';
import { apiRequest } from '#runtime/node/api';
import { nodeErrors } from '#runtime/node/errors';
import { witnessServiceErrors } from '#runtime/witness/service/errors';
import type { WitnessStatus } from '#runtime/witness/service/metrics';
import { FabricError } from '#schemas/fabric-error';
import { handle, type Shell } from '../../command.ts';
import { EXIT } from '../../exit-codes.ts';
import type { Out } from '../../io.ts';
import { type Realm, withRealm } from '../../realm.ts';
import { count, plural, span } from '../../render/format.ts';

/** A realm that has just come up answers before its witness does. */
const BUILDER_MS = 3_000;
const AGAIN_MS = 100;

export function witnessStatusCommand(shell: Shell): Command {
  const command = new Command('status').description(
    'how far the log is signed, and what was found wrong with it',
  );
  return handle<[], object>(shell, command, ({ io, out, options }) =>
    withRealm(options, io, async (realm) => {
      const status = await witnessStatus(realm);
      out.data(status);
      out.lines(statusLines(status, out, realm.now()));
      return status.breaks === 0 ? EXIT.ok : EXIT.failure;
    }),
  );
}

/** Throws `witness_absent` where no node builds the log. */
export async function witnessStatus(realm: Realm): Promise<WitnessStatus> {
  return await witnessRequest<WitnessStatus>(realm, {});
}

/** A checkpoint, tile or bundle of the builder. Throws `witness_absent`, `tile_missing`. */
export async function witnessRead(realm: Realm, path: string): Promise<Uint8Array> {
  const { bytes } = await witnessRequest<{ bytes: string }>(realm, { read: path });
  return Buffer.from(bytes, 'base64');
}

async function witnessRequest<T>(realm: Realm, body: object): Promise<T> {
  const deadline = performance.now() + BUILDER_MS;
  for (;;) {
    try {
      return await apiRequest<T>(realm.connection, realm.subjects.api('witness'), body);
    } catch (thrown) {
      if (!(thrown instanceof FabricError) || thrown.code !== nodeErrors.realm_unreachable.code) throw thrown;
      if (performance.now() >= deadline) throw absent(thrown);
    }
    await pause(AGAIN_MS);
  }
}

function absent(cause: FabricError): FabricError {
  return new FabricError(
    witnessServiceErrors.witness_absent,
    'No node builds the witness log of this realm',
    { cause },
  );
}

function statusLines(status: WitnessStatus, { palette }: Out, now: number): string[] {
  const { good, bad, faint, strong } = palette;
  const isSound = status.breaks === 0 && status.halted === undefined;
  const behind =
    status.lagCommits === 0
      ? 'nothing waits'
      : `${plural(status.lagCommits, 'commit')} behind, the oldest ${span(status.lagMs)}`;
  const lines = [
    `${isSound ? good('●') : bad('●')} ${strong(status.origin)}  ${faint(`${plural(status.size, 'commit')} signed · ${behind}`)}`,
    `  root        ${status.root}`,
    `  key         ${status.key}`,
    `  verified    through sequence ${count(status.verifiedSeq)} of ${count(status.lastSeq)}`,
    `  read again  ${plural(status.scrubPasses, 'time')}${status.scrubbedSeq > 0 ? faint(`, now at sequence ${count(status.scrubbedSeq)}`) : ''}`,
    `  cosigned    by ${status.cosignatures} of ${status.cosigners}`,
    ...(status.http === undefined ? [] : [`  served at   ${status.http}`]),
  ];
  if (status.halted !== undefined) lines.push(bad(`  Nothing is signed any more: ${status.halted}`));
  for (const found of status.known) {
    const where = [
      found.shard === undefined ? undefined : `shard ${found.shard}`,
      found.index === undefined ? undefined : `commit ${found.index}`,
      found.seq === 0 ? undefined : `sequence ${found.seq}`,
    ].filter((part) => part !== undefined);
    lines.push(
      bad(`  ✗ ${found.kind}`) +
        `  ${where.join(', ')}: ${found.what} ${faint(`${span(now - found.foundAt)} ago`)}`,
    );
  }
  return lines;
}
