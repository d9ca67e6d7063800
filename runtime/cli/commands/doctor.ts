/** `doctor`: looks at everything a realm needs, and says what to do about what is missing. */

import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import { toWireError } from '#schemas/fabric-error';
import { machineNames } from '../builtins.ts';
import { checkConfig, checkDisk, checkNode, checkPorts, checkServer } from '../checks.ts';
import { declare, handle, type Shell } from '../command.ts';
import { copiesCheck, durabilityCheck } from '../copies-check.ts';
import { withoutExports } from '../env-mark.ts';
import { EXIT } from '../exit-codes.ts';
import { jailChecks } from '../jail-check.ts';
import { DATA_ROOT, findConfig, locate, peekConfig, serverOf } from '../locate.ts';
import { type Realm, withRealm } from '../realm.ts';
import { type Check, checkLines } from '../render/checks.ts';
import { plural, span } from '../render/format.ts';
import { totals } from '../render/status-line.ts';

/** Clocks further apart than this date signed messages wrongly. */
const SKEW_WARN_MS = 1_000;
const SKEW_FAIL_MS = 60_000;

export function doctorCommand(shell: Shell): Command {
  const command = declare({
    name: 'doctor',
    summary: 'check everything a realm needs, and say what to do',
    description:
      'Checks Node, the NATS server, the data folder and its disk, the config, ports, the layers of the jail for sandboxed tasks, and the running realm.',
    group: 'Set up',
    examples: [
      ['infrafabric doctor', 'this folder'],
      ['infrafabric doctor --json | jq "select(.state != \\"ok\\")"', 'what is not right'],
    ],
  });
  return handle<[], object>(shell, command, async ({ io: shellIo, out, options, builtins }) => {
    const io = { ...shellIo, env: withoutExports(shellIo.env) };
    const config = options.config === undefined ? findConfig(io.cwd) : resolve(io.cwd, options.config);
    const peek = config === undefined ? undefined : peekConfig(config, io.env);
    const dataDir = resolve(
      io.cwd,
      options.data ?? io.env['INFRAFABRIC_DATA'] ?? peek?.dataDir ?? join(DATA_ROOT, 'counter'),
    );
    const checks = [
      checkNode(process.versions.node),
      await checkServer(io.env, peek?.url ?? serverOf(io.env)),
      await checkDisk(dataDir),
      checkConfig(config, io.env, machineNames(await builtins())),
      await checkPorts(config, io.env),
      ...(await jailChecks()),
      ...(await checkRealm(() => {
        locate(options, shellIo);
        return withRealm(options, shellIo, lookAt);
      })),
    ];
    for (const check of checks) out.data(check);
    out.lines(checkLines(checks, out.palette));
    return checks.some(({ state }) => state === 'fail') ? EXIT.failure : EXIT.ok;
  });
}

async function checkRealm(look: () => Promise<Check[]>): Promise<Check[]> {
  try {
    return await look();
  } catch (error) {
    const { code, message, help } = toWireError(error);
    if (code === 'not_running')
      return [{ name: 'realm', state: 'skip', seen: `not running; ${help ?? ''}`.trim() }];
    return [
      {
        name: 'realm',
        state: 'fail',
        seen: `${code}: ${message}`,
        ...(help !== undefined && { todo: help }),
      },
    ];
  }
}

async function lookAt(realm: Realm): Promise<Check[]> {
  const statuses = await realm.statuses();
  const actors = statuses.reduce((sum, status) => sum + totals(status).actors, 0);
  const behind = statuses.reduce((sum, status) => sum + totals(status).behind, 0);
  const first = Math.min(...statuses.map(({ startedAt }) => startedAt));
  const seen = `${plural(statuses.length, 'node')}, ${plural(actors, 'actor')}, up ${span(realm.now() - first)}`;
  const relaxed = statuses.some(({ durability }) => durability === 'relaxed');
  const copies = await realm.copies();
  return [
    behind > 0
      ? {
          name: 'realm',
          state: 'warn',
          seen: `${seen}, ${behind} waiting`,
          todo: 'Watch it: `infrafabric log --follow`.',
        }
      : { name: 'realm', state: 'ok', seen },
    durabilityCheck(relaxed, copies),
    copiesCheck(copies),
    // A stream without a leader answers none of the other questions.
    ...(copies.streams.every(({ leader }) => leader !== undefined)
      ? [await realm.drift(), skewCheck(await realm.clockSkewMs())]
      : []),
  ];
}

function skewCheck(skewMs: number): Check {
  const seen = `${span(Math.abs(skewMs))} ${skewMs < 0 ? 'behind' : 'ahead of'} the server`;
  const todo = 'Set the clocks by NTP: signed messages are refused when they are dated wrongly.';
  const away = Math.abs(skewMs);
  if (away < SKEW_WARN_MS) return { name: 'clock', state: 'ok', seen };
  return { name: 'clock', state: away < SKEW_FAIL_MS ? 'warn' : 'fail', seen, todo };
}
