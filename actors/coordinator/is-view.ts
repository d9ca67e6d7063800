/** Which bodies of live events are views: others' machines may emit what they like. Only what is read without asking is looked at. */
import type { RoundView } from '#schemas/round';
import type { SessionView } from '#schemas/session';
import type { TaskView } from '#schemas/task-view';
import type { WorkerView } from '#schemas/worker';

export function isTaskView(value: unknown): value is TaskView {
  return isView(value) && isTexts(value['requires']) && isRecord(value['estimate']);
}

export function isSessionView(value: unknown): value is SessionView {
  return isView(value) && isTexts(value['capabilities']);
}

export function isWorkerView(value: unknown): value is WorkerView {
  if (!isView(value) || !Array.isArray(value['tasks'])) return false;
  const { profile } = value;
  return profile === null || (isRecord(profile) && isTexts(profile['capabilities']));
}

export function isRoundView(value: unknown): value is RoundView {
  return isView(value) && 'manifest' in value;
}

function isView(value: unknown): value is Readonly<Record<string, unknown>> {
  return isRecord(value) && typeof value['id'] === 'string' && typeof value['status'] === 'string';
}

function isTexts(value: unknown): boolean {
  return Array.isArray(value) && value.every((text) => typeof text === 'string');
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}
