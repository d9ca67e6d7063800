/** One task, and one session, with all there is to know. */
import { compact, cut, relative } from '#runtime/cli/render/format';
import type { Palette } from '#runtime/cli/render/palette';
import { type Column, table } from '#runtime/cli/render/table';
import type { SessionView } from '#schemas/session';
import type { TaskView } from '#schemas/task-view';
import { statusColour, statusSign, statusWord, workerName } from './task.ts';

interface Place {
  readonly palette: Palette;
  readonly width: number;
}

const LABEL_WIDTH = 14;

export function taskLines(task: TaskView, now: number, place: Place): string[] {
  const { palette, width } = place;
  const colour = statusColour(task.status, palette);
  const { blockedOn, helpWanted, estimate, handedIn } = task;
  const passed = task.checks.filter((one) => one.passed).map(({ check }) => `${check} passed`);
  const facts: readonly (readonly [label: string, text: string | null | undefined])[] = [
    ['worker', task.worker === null ? null : `${task.worker}, token ${task.token}`],
    ['meant for', task.owner],
    ['done', task.milestone > 0 ? `${task.milestone} %` : null],
    ['note', task.note],
    [
      'blocked on',
      blockedOn === null ? null : `${blockedOn.kind} ${blockedOn.on}, ${relative(blockedOn.since, now)}`,
    ],
    ['waits for', task.waitingFor.join(', ')],
    ['after', task.deps.join(', ')],
    ['requires', task.requires.join(', ')],
    ['priority', task.priority === 0 ? null : String(task.priority)],
    ['estimate', estimate.hours === null ? null : `${estimate.hours} h`],
    ['deadline', task.deadline === null ? null : relative(task.deadline, now)],
    [
      'help wanted',
      helpWanted === null ? null : (helpWanted.reason ?? helpWanted.requires.join(', ')) || 'yes',
    ],
    ['helpers', task.helpers.map(workerName).join(', ')],
    ['silent', task.staleAt === null ? null : `told ${relative(task.staleAt, now)}`],
    ['deliverables', task.deliverables.join(', ')],
    ['handed in', handedIn?.deliverable],
    ['tests', handedIn === null ? null : testsWord(handedIn)],
    ['checks', passed.join(', ')],
    ['artifacts', task.artifacts.map(({ path }) => path).join(', ')],
    ['attempts', task.attempts > 1 ? String(task.attempts) : null],
    ['reason', task.reason],
    ['changed', task.changedAt === null ? null : relative(task.changedAt, now)],
  ];
  const checks = task.checks
    .filter(({ passed }) => !passed)
    .map(({ check, missing }) => `  ${palette.bad('✗')} ${check}: ${cut(missing.join('; '), width - 20)}`);
  return [
    `${colour(statusSign(task.status))} ${palette.strong(cut(task.id, 60))} ${cut(task.title, width - 30)}  ${colour(statusWord(task.status))}`,
    ...facts
      .filter(([, text]) => text !== null && text !== undefined && text !== '')
      .map(
        ([label, text]) =>
          `  ${palette.faint(label.padEnd(LABEL_WIDTH))}${cut(text ?? '', width - LABEL_WIDTH - 2)}`,
      ),
    ...(checks.length === 0 ? [] : [palette.faint('  the gate refused:'), ...checks]),
  ];
}

/** What who handed it in says of its tests; null where that is nothing. */
function testsWord({ testsPass }: NonNullable<TaskView['handedIn']>): string | null {
  return testsPass === null ? null : testsPass ? 'pass' : 'do not pass';
}

const TASK_COLUMNS: readonly Column[] = [
  { title: 'TASK' },
  { title: 'STATUS' },
  { title: 'WORKER' },
  { title: 'TITLE' },
];

export function taskTable(tasks: readonly TaskView[], place: Place): string[] {
  const rows = tasks.map(({ id, status, milestone, worker, owner, title }) => [
    place.palette.name(cut(id, 60)),
    statusColour(status, place.palette)(status === 'in_progress' ? `${milestone} %` : statusWord(status)),
    worker === null
      ? owner === null
        ? ''
        : place.palette.faint(`(${cut(owner, 30)})`)
      : cut(workerName(worker), 30),
    cut(title, 80),
  ]);
  return table(TASK_COLUMNS, rows, place);
}

const SESSION_COLUMNS: readonly Column[] = [
  { title: 'SESSION' },
  { title: 'STATUS' },
  { title: 'TASKS' },
  { title: 'DONE', align: 'right' },
  { title: 'WEIGHT', align: 'right' },
  { title: 'CAN' },
];

export function sessionTable(sessions: readonly SessionView[], place: Place): string[] {
  const rows = sessions.map((session) => [
    place.palette.name(cut(session.id, 60)),
    sessionWord(session, place.palette),
    cut(session.tasks.map(({ id }) => id).join(', '), 60),
    String(session.completed),
    session.weight.toFixed(1),
    cut(session.capabilities.join(', '), 120),
  ]);
  return table(SESSION_COLUMNS, rows, place);
}

export function sessionLines(session: SessionView, now: number, { palette, width }: Place): string[] {
  const { offered, profile } = session;
  const facts: readonly (readonly [label: string, text: string | null])[] = [
    ['can', session.capabilities.join(', ')],
    ['swarm', session.swarm],
    [
      'tasks',
      session.tasks
        .map(({ id, blocked, filler }) => `${id}${blocked ? ' (blocked)' : filler ? ' (filler)' : ''}`)
        .join(', '),
    ],
    ['offered', offered === null ? null : `${offered.task}, match ${Math.round(offered.match * 100)} %`],
    ['completed', String(session.completed)],
    ['failed', session.failed === 0 ? null : String(session.failed)],
    ['weight', `${session.weight.toFixed(2)}${session.lateBloomer ? ', a late bloomer' : ''}`],
    ['profile', compact(profile, width - LABEL_WIDTH - 2)],
    ['changed', session.changedAt === null ? null : relative(session.changedAt, now)],
  ];
  return [
    `${palette.strong(cut(session.id, 60))}  ${sessionWord(session, palette)}`,
    ...facts
      .filter(([, text]) => text !== null && text !== '')
      .map(
        ([label, text]) =>
          `  ${palette.faint(label.padEnd(LABEL_WIDTH))}${cut(text ?? '', width - LABEL_WIDTH - 2)}`,
      ),
  ];
}

function sessionWord({ status }: SessionView, palette: Palette): string {
  if (status === 'working') return palette.good(status);
  if (status === 'blocked') return palette.warn(status);
  return status === 'idle' ? status : palette.faint(status);
}
