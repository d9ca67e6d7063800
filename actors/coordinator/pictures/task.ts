/** What pictures of a board show of a task, and the words and signs for it. */

import type { Palette } from '#runtime/cli/render/palette';
import type { GraphTask } from '../graph/graph.ts';

export interface PictureTask extends GraphTask {
  readonly title: string;
  /** Address of who has it. */
  readonly worker: string | null;
  readonly filler: boolean;
}

/** Statuses in the order in which a board shows them, with a sign each. */
export const STATUS_SIGNS = {
  in_progress: '◐',
  claimed: '◔',
  blocked: '■',
  available: '○',
  waiting: '·',
  failed: '✗',
  completed: '✓',
  cancelled: '–',
  absent: '?',
} as const;
export type ShownStatus = keyof typeof STATUS_SIGNS;

export const SHOWN_STATUSES = Object.keys(STATUS_SIGNS) as readonly ShownStatus[];

/** The sign of a status; a status nobody knows has one too. */
export function statusSign(status: string): string {
  return isShown(status) ? STATUS_SIGNS[status] : '?';
}

/** `in progress`. */
export function statusWord(status: string): string {
  return status.replaceAll('_', ' ');
}

/** Paints a text as its status is felt. */
export function statusColour(status: string, palette: Palette): (text: string) => string {
  switch (status) {
    case 'completed':
      return palette.good;
    case 'in_progress':
    case 'claimed':
      return palette.name;
    case 'blocked':
      return palette.warn;
    case 'failed':
      return palette.bad;
    case 'available':
      return (text) => text;
    default:
      return palette.faint;
  }
}

/** `session/cli` → `cli`. */
export function workerName(worker: string | null): string {
  return worker === null ? '' : worker.replace(/^session\//, '');
}

function isShown(status: string): status is ShownStatus {
  return status in STATUS_SIGNS;
}
