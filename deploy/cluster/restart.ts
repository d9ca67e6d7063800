/** A planned restart of one server of a cluster that runs: others lead first, and it is back and up to date at the end. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { stepDown } from '#runtime/bus/cluster-admin';
import { connectBus } from '#runtime/bus/connection';
import { isWhole, readCopies } from '#runtime/bus/copies';
import { Subjects } from '#runtime/bus/subjects';
import { readRun } from '#runtime/cli/locate';
import { readPlan } from './plan.ts';
import { pidFile } from './server-config.ts';

const BACK_TIMEOUT_MS = 60_000;
const LOOK_EVERY_MS = 100;

/** `say` hears each step. Throws what goes wrong in words. */
export async function restartServer(
  folder: string,
  name: string,
  say: (line: string) => void,
): Promise<void> {
  const run = readRun(join(folder, 'n1'));
  if (run === undefined) throw new Error(`No cluster runs in ${folder}: \`npm run cluster\` starts one`);
  const servers = readPlan(folder)?.servers ?? [];
  const server = servers.find((one) => one.name === name);
  if (server === undefined || !existsSync(pidFile(server))) {
    throw new Error(`No server ${name} runs; there are: ${servers.map((one) => one.name).join(', ')}`);
  }
  const others = servers.filter((one) => one !== server).map(({ port }) => `nats://127.0.0.1:${port}`);
  const nc = await connectBus({
    url: others.join(','),
    name: 'restart',
    logger: { debug() {}, info() {}, warn() {}, error() {} },
    ...(run.token !== undefined && { token: run.token }),
  });
  try {
    const subjects = new Subjects(run.prefix, 1);
    const { moved } = await stepDown(nc, subjects, name);
    say(`${name} leads nothing more; ${moved.length} streams moved`);
    const pidOf = (): number => Number(readFileSync(pidFile(server), 'utf8'));
    const before = pidOf();
    process.kill(before, 'SIGTERM');
    say(`${name} was told to end; it is started again by \`npm run cluster\``);
    for (const until = performance.now() + BACK_TIMEOUT_MS; ; await pause(LOOK_EVERY_MS)) {
      // Leaders tell of its absence only some time later: until there is another process it is not back.
      if (pidOf() !== before && (await readCopies(nc, subjects)).streams.every(isWhole)) break;
      if (performance.now() > until) throw new Error(`${name} is not up to date in time`);
    }
    say(`${name} is back and up to date`);
  } finally {
    await nc.close();
  }
}
