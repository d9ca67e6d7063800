/** `chassis show`: a component or a task, with all that is known of it. */
import type { Command } from 'commander';
import { type ActingOptions, withActing } from '#actors/coordinator/cli/with-desk';
import { reputationAt } from '#machines/registry/reputation';
import { declare, handle, type Shell } from '#runtime/cli/command';
import { EXIT } from '#runtime/cli/exit-codes';
import type { Out } from '#runtime/cli/io';
import type { Grant } from '#schemas/grant';
import { type Blob, SANDBOX_TYPE, type SandboxView, type TaskLimits } from '#schemas/sandbox';
import type { ComponentView } from '#schemas/service-contract';
import { formatBytes, formatDuration } from '#schemas/units';
import { isTask, withChassis } from './realm.ts';
import { count, runLine, sloLine, words } from './say.ts';

export function showCommand(shell: Shell): Command {
  const command = declare({
    name: 'show',
    summary: 'show a component with its contract, or a task with its last run',
    group: 'Work',
    examples: [
      ['infrafabric chassis show word-count', 'contract, limits, grant, promises'],
      ['infrafabric chassis show sandbox/word-count.1', 'a task: how far it is, and what it came to'],
    ],
  }).argument('<name>', 'a component, or sandbox/ID');
  return handle<[string], ActingOptions>(shell, withActing(command), async (run, name) => {
    const { out } = run;
    return await withChassis(run, async (chassis) => {
      if (isTask(name)) {
        const task = await chassis.task(name);
        out.data(task);
        out.lines(taskLines(task, out));
      } else {
        const component = await chassis.component(name);
        out.data(component);
        out.lines(componentLines(component, chassis.desk.realm.now(), out));
      }
      return EXIT.ok;
    });
  });
}

function componentLines(component: ComponentView, now: number, out: Out): string[] {
  const { id, status, contract, sha256, bytes, submitted, reputation } = component;
  const { name, faint } = out.palette;
  return [
    `${name(`component/${id}`)} ${contract?.version ?? ''}  ${status}  ${faint(`${sha256?.slice(0, 12)}, ${count(bytes ?? 0)} bytes`)}`,
    `  tasks       ${count(submitted)}, submitted by operators${contract?.submitters.map((one) => `, ${one}`).join('') ?? ''}`,
    `  promises    ${sloLine(component, out)}`,
    `  reputation  ${reputationAt(reputation, now).toFixed(2)}`,
    ...(contract === null
      ? []
      : [`  limits      ${limitsText(contract.limits)}`, `  grant       ${grantText(contract.grant)}`]),
  ];
}

function taskLines({ id, status, task, run, attempts, revoked, reason }: SandboxView, out: Out): string[] {
  const { name, warn } = out.palette;
  return [
    `${name(`${SANDBOX_TYPE}/${id}`)}  ${status}${reason === null ? '' : `: ${words(reason)}`}`,
    ...(task === null
      ? []
      : [
          `  component  ${task.component.slice(0, 12)}`,
          `  tenant     ${task.tenant}, submitted by ${task.by}`,
          `  input      ${blobText(task.input)}, seed ${task.seed}`,
          `  limits     ${limitsText(task.limits)}`,
          `  grant      ${grantText(task.grant)}`,
        ]),
    ...(revoked === null ? [] : [`  ${warn('revoked')}    ${words(revoked)}`]),
    ...(run === null ? [] : [`  run ${attempts}      ${runLine(run, out)}`]),
    ...(run?.output == null ? [] : [`  output     ${blobText(run.output)}`]),
    ...(run?.logs ?? []).map((line) => `  log        ${words(line)}`),
  ];
}

const TEXT_SHOWN = 60;

function blobText(blob: Blob): string {
  if ('sha256' in blob) return `${formatBytes(blob.bytes)} ${blob.sha256.slice(0, 12)}`;
  const text = words(JSON.stringify(blob.text));
  return text.length <= TEXT_SHOWN ? text : `${text.slice(0, TEXT_SHOWN)}…`;
}

function limitsText({ memoryBytes, fuel, wallMs, callsPerSecond, callBurst }: TaskLimits): string {
  return `${formatBytes(memoryBytes)}, fuel ${count(fuel)}, ${formatDuration(wallMs)}, ${callsPerSecond} calls/s (burst ${callBurst})`;
}

function grantText({ emit, kv, ask, http, ttlMs }: Grant): string {
  const parts = [
    ...emit.map((event) => `emit ${event}`),
    ...kv.map(({ prefix, write }) => `${write ? 'write' : 'read'} ${prefix}`),
    ...ask.flatMap(({ to, events }) => events.map((event) => `ask ${to} ${event}`)),
    ...http.flatMap(({ origin, path, methods }) => methods.map((method) => `${method} ${origin}${path}`)),
  ];
  return parts.length === 0 ? 'nothing' : `${parts.join(', ')}, for ${formatDuration(ttlMs)}`;
}
