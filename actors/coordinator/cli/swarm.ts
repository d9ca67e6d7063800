/** `swarm`: sessions from a template, each with a process of its own that the realm supervises. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, isAbsolute, relative, resolve } from 'node:path';
import type { Command } from 'commander';
import { declare, handle, type Shell, timeoutOption, wholeNumber } from '#runtime/cli/command';
import { EXIT, Refused } from '#runtime/cli/exit-codes';
import type { Io } from '#runtime/cli/io';
import { aborted } from '#runtime/cli/realm';
import { plural } from '#runtime/cli/render/format';
import { Problems } from '#runtime/supervise/problems';
import { checkSchema } from '#runtime/supervise/schema-problems';
import { Places, readSource } from '#runtime/supervise/source';
import { FabricError } from '#schemas/fabric-error';
import {
  SWARM_SESSIONS_MAX,
  type SwarmTemplate,
  type SwarmView,
  sessionsOf,
  swarmTemplateSchema,
} from '#schemas/swarm';
import { openCoordinator } from '../client.ts';
import { coordinatorErrors } from '../errors.ts';
import type { CoordinatorClient } from '../types.ts';
import { actAs } from './acting.ts';
import {
  allEnded,
  allStarted,
  FAILED,
  failureOf,
  membersOf,
  noneOfAnother,
  runnersOf,
} from './swarm-processes.ts';

const TEMPLATE = 'swarm.yaml';
const TIMEOUT_MS = 30_000;

interface SpawnOptions {
  readonly size?: number;
  readonly timeout: number;
}

export function swarmCommand(shell: Shell): Command {
  return declare({
    name: 'swarm',
    summary: 'start, see and stop swarms of sessions',
    group: 'Work',
    examples: [
      ['infrafabric swarm spawn swarm.yaml', 'the sessions of a template, a process each'],
      ['infrafabric swarm list', 'what they do'],
      ['infrafabric swarm stop reviewers', 'ends their processes'],
    ],
  })
    .addCommand(spawnCommand(shell))
    .addCommand(listCommand(shell))
    .addCommand(stopCommand(shell));
}

function spawnCommand(shell: Shell): Command {
  const command = declare({
    name: 'spawn',
    summary: 'form a swarm from a template and start its processes',
    description:
      'Forms the swarm that a template describes, or changes the one that runs to what it says now. A number alone takes swarm.yaml of this folder in that size. Each session gets a process of its own, which the realm restarts as the template says, and which ends with the swarm or the node. Returns once every process runs, or waits for the budget of the swarm.',
    group: 'Work',
    examples: [
      ['infrafabric swarm spawn swarm.yaml', 'as it stands there'],
      ['infrafabric swarm spawn 5', 'swarm.yaml of this folder with five sessions'],
    ],
  })
    .argument('<file|n>', 'template, or how many of swarm.yaml')
    .option('--size <n>', 'sessions, instead of the template’s', wholeNumber)
    .addOption(timeoutOption(TIMEOUT_MS));
  return handle<[string], SpawnOptions>(shell, command, async ({ io, out, options }, given) => {
    const template = templateOf(given, options.size, io);
    await using acting = await actAs(undefined, options, io);
    await using coordinator = openCoordinator(acting.client);
    if (template.process !== undefined) await noneOfAnother(coordinator, template);
    const swarm = await coordinator.formSwarm(template);
    const started =
      template.process === undefined
        ? 'running'
        : await Promise.race([
            allStarted(acting.realm, coordinator, swarm, options.timeout),
            aborted(io.signal),
          ]);
    out.data({ ok: true, swarm });
    const sessions = sessionsOf(template).map(({ id }) => id);
    const how =
      template.process === undefined
        ? 'no process: its sessions come by themselves'
        : template.process.command;
    out.lines([
      `${out.palette.good('✓')} ${swarm.id} ${swarm.status}, ${plural(sessions.length, 'session')} (${how})`,
      `  ${sessions.join(', ')}`,
    ]);
    if (started !== 'running') out.note(`${swarm.id}: ${started}`);
    return EXIT.ok;
  });
}

function listCommand(shell: Shell): Command {
  const command = declare({
    name: 'list',
    summary: 'swarms, their sessions and processes',
    group: 'Work',
    examples: [['infrafabric swarm list --json', 'for other programs']],
  });
  return handle<[], object>(shell, command, async ({ io, out, options }) => {
    await using acting = await actAs(undefined, options, io);
    await using coordinator = openCoordinator(acting.client);
    const swarms = await coordinator.swarms();
    const processes = await runnersOf(acting.realm);
    const sessions = new Map((await coordinator.sessions()).map((session) => [session.id, session]));
    for (const swarm of swarms) {
      const members = await Promise.all(
        membersOf(swarm).map(async (id) => {
          const session = sessions.get(id);
          const process = processes.get(id) ?? null;
          return {
            id,
            process,
            status: session?.status ?? 'absent',
            tasks: session?.tasks.map((task) => task.id) ?? [],
            failure: process === FAILED ? await failureOf(acting.realm, id) : null,
          };
        }),
      );
      out.data({ ...swarm, members });
      out.lines([
        `${swarm.id}  ${swarm.status}, spent ${swarm.spentMicros / 1e6}`,
        ...members.map(({ id, process, status, tasks, failure }) =>
          `  ${id.padEnd(20)} ${(process ?? 'no process').padEnd(11)} ${status.padEnd(8)} ${failure ?? tasks.join(' ')}`.trimEnd(),
        ),
      ]);
    }
    if (swarms.length === 0)
      out.lines(['There are no swarms. `infrafabric swarm spawn --help` shows how one begins.']);
    return EXIT.ok;
  });
}

function stopCommand(shell: Shell): Command {
  const command = declare({
    name: 'stop',
    summary: 'end the processes of a swarm',
    description:
      'Ends the processes of a swarm, the last started first, and returns once the last has gone. What their sessions had claimed is free again when the leases run out.',
    group: 'Work',
    examples: [['infrafabric swarm stop reviewers', '']],
  })
    .argument('<id>', 'of the swarm')
    .addOption(timeoutOption(TIMEOUT_MS));
  return handle<[string], { readonly timeout: number }>(shell, command, async ({ io, out, options }, id) => {
    await using acting = await actAs(undefined, options, io);
    await using coordinator = openCoordinator(acting.client);
    const swarm = await existing(coordinator, id);
    await coordinator.stopSwarm(id);
    await Promise.race([allEnded(acting.realm, coordinator, swarm, options.timeout), aborted(io.signal)]);
    out.data({ ok: true, id });
    out.lines([`${out.palette.good('✓')} ${id} stopped`]);
    return EXIT.ok;
  });
}

async function existing(coordinator: CoordinatorClient, id: string): Promise<SwarmView> {
  const swarm = await coordinator.swarm(id);
  if (swarm !== undefined) return swarm;
  throw new Refused(
    new FabricError(coordinatorErrors.no_swarm, `There is no swarm ${id}`, { details: { id } }),
  );
}

/** Throws `bad_swarm` with everything that is wrong, at its place. */
function readTemplate(file: string, text: string, size: number | undefined): SwarmTemplate {
  const problems = new Problems(coordinatorErrors.bad_swarm);
  const places = new Places();
  const raw = readSource(text, { file, places, problems });
  const isMapping = typeof raw === 'object' && raw !== null && !Array.isArray(raw);
  if (!isMapping)
    problems.addUnlessKnown({ file, line: 1, column: 1 }, 'holds no template: expected a mapping with "id"');
  const template = isMapping ? checkSchema(swarmTemplateSchema, raw, places, problems) : undefined;
  problems.throwIfAny();
  if (template === undefined) throw new Error('invariant: what is no template has a problem');
  if (size === undefined) return template;
  if (size < 1 || size > SWARM_SESSIONS_MAX)
    throw new FabricError(
      coordinatorErrors.bad_swarm,
      `A swarm has 1 to ${SWARM_SESSIONS_MAX} sessions, not ${size}`,
    );
  return { ...template, size };
}

/** Throws `bad_swarm`. */
function templateOf(given: string, size: number | undefined, io: Io): SwarmTemplate {
  const count = /^\d+$/.test(given) ? Number(given) : size;
  const file = resolve(io.cwd, /^\d+$/.test(given) ? TEMPLATE : given);
  if (!existsSync(file)) throw new FabricError(coordinatorErrors.bad_swarm, `There is no template ${file}`);
  const data = readTemplate(relative(io.cwd, file), readFileSync(file, 'utf8'), count);
  if (data.process === undefined) return data;
  // Where the process runs is meant from where the template lies.
  const { cwd = '.' } = data.process;
  return { ...data, process: { ...data.process, cwd: isAbsolute(cwd) ? cwd : resolve(dirname(file), cwd) } };
}
