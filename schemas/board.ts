/** Boards: which tasks there are and what they depend on. */
import { z } from 'zod';
import { ADDED_MAX, taskSpecSchema } from './task.ts';

/** Type of the actors. */
export const BOARD_TYPE = 'board';
/** The board of a realm that has one. */
export const BOARD_DEFAULT = 'main';
/** Tasks of one board: its graph is one actor's state. */
export const BOARD_TASKS_MAX = 20_000;

export const boardActionSchema = z.discriminatedUnion('action', [
  z.object({ action: z.literal('add'), tasks: z.array(taskSpecSchema).min(1).max(ADDED_MAX) }),
  z.object({ action: z.literal('get') }),
]);
export type BoardAction = z.infer<typeof boardActionSchema>;

export type BoardReply =
  | {
      readonly accepted: true;
      readonly added: readonly string[];
      /** Tasks that were there before, with the same dependencies. */
      readonly known: readonly string[];
      /** Dependencies that nobody added yet: what depends on them waits. */
      readonly missing: readonly string[];
    }
  | {
      readonly accepted: false;
      readonly code: 'bad_action' | 'cycle' | 'task_exists' | 'board_full' | 'not_permitted';
      readonly reason: string;
      /** The cycle: each depends on the next, the last is the first. */
      readonly cycle?: readonly string[];
    };

/** Answer of `get`: the graph. */
export interface BoardGraph {
  readonly deps: Readonly<Record<string, readonly string[]>>;
}
