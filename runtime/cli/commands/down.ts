/** `down`: stops the realm's node cleanly and waits until it has gone. */

import { setTimeout as pause } from 'node:timers/promises';
import type { Command } from 'commander';
import type { RunFile } from '#runtime/node/api';
import { FabricError } from '#schemas/fabric-error';
import { declare, handle, type Shell, timeoutOption } from '../command.ts';
import { cliErrors } from '../errors.ts';
import { EXIT } from '../exit-codes.ts';
import type { Out } from '../io.ts';
import { isRunning, locate } from '../locate.ts';
import { type Realm, withRealm } from '../realm.ts';
import { plural, span } from '../render/format.ts';

/** A clean stop writes what is left and ends the server: seconds, even on a slow disk. */
const TIMEOUT_MS_DEFAULT = 30_000;
/** Whoever waits longer wants to know for what. */
const SAY_AFTER_MS = 1_000;
/** Another process cannot be awaited, only looked at. */
const LOOK_EVERY_MS = 25;

interface Options {
  readonly timeout: number;
  readonly force?: boolean;
}

export function downCommand(shell: Shell): Command {
  const command = declare({
    name: 'down',
    summary: 'stop the realm cleanly',
    description:
      'Stops the node that runs in this data folder and waits until it has gone; where the server of the realm is gone, it sends its process SIGTERM. State stays: `up` goes on from there.',
    group: 'Run',
    examples: [
      ['infrafabric down', 'the realm of this folder'],
      ['infrafabric down --data .infrafabric/phase0', 'another one'],
    ],
  })
    .addOption(timeoutOption(TIMEOUT_MS_DEFAULT))
    .option('--force', 'end the process if it does not answer; nothing acknowledged is lost');
  return handle<[], Options>(shell, command, async ({ io, out, options }) => {
    const { run, realm: name } = locate(options, io);
    const startedAt = Date.now();
    try {
      await withRealm(options, io, async (realm) => {
        const nodeId = run?.nodeId ?? (await onlyNode(realm.statuses()));
        if (run !== undefined && run.joined !== true) await warnOfJoined(realm, run, out);
        await realm.down(nodeId);
      });
    } catch (error) {
      const isForced = options.force === true;
      if (run === undefined || !(isForced || isUnreachable(error))) throw error;
      if (!isForced) out.note(`Its server cannot be reached: process ${run.pid} is sent SIGTERM …`);
      // It may have ended meanwhile, and its pid be another's.
      if (isRunning(run)) process.kill(run.pid, isForced ? 'SIGKILL' : 'SIGTERM');
    }
    const late = setTimeout(() => out.note('It writes what is left and ends its server …'), SAY_AFTER_MS);
    try {
      if (run !== undefined) await gone(run, options.timeout, io.signal);
    } finally {
      clearTimeout(late);
    }
    const tookMs = Date.now() - startedAt;
    out.data({ ok: true, realm: name, ...(run !== undefined && { pid: run.pid }), tookMs });
    out.lines([`${out.palette.good('✓')} ${name ?? 'node'} stopped in ${span(tookMs)}`]);
    return EXIT.ok;
  });
}

/** Nobody can be asked to stop the node: its server is gone, and only its process is there to be told. */
function isUnreachable(error: unknown): boolean {
  return error instanceof FabricError && error.code === cliErrors.not_running.code;
}

/** Says who hangs off the server that ends with this node. */
async function warnOfJoined(realm: Realm, run: RunFile, out: Out): Promise<void> {
  let others: number;
  try {
    const { members } = await realm.members();
    others = members.filter(({ id, state }) => id !== run.nodeId && state !== 'leaving').length;
  } catch {
    // A remark keeps nobody from stopping the node; what is wrong shows when it is asked to.
    return;
  }
  if (others === 0) return;
  const who = plural(others, 'other node hangs', 'other nodes hang');
  out.note(
    out.palette.warn(
      `${who} off the server that ends with this one, and can do nothing until it is up again`,
    ),
  );
}

async function onlyNode(found: Promise<readonly { readonly nodeId: string }[]>): Promise<string> {
  const [only, ...more] = await found;
  if (only === undefined || more.length > 0) {
    throw new FabricError(cliErrors.ambiguous_realm, `${more.length + 1} nodes run this realm`);
  }
  return only.nodeId;
}

async function gone(run: RunFile, timeoutMs: number, signal: AbortSignal): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (isRunning(run)) {
    if (Date.now() > deadline) {
      const message = `Process ${run.pid} still runs after ${span(timeoutMs)}`;
      throw new FabricError(cliErrors.stop_timeout, message, { details: { pid: run.pid } });
    }
    await pause(LOOK_EVERY_MS, undefined, { signal });
  }
}
