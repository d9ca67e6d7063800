/** A board as commands, imports and mirrors use it: views to read, events to say in somebody's name. */
import type { Client } from '#runtime/client/client';
import type { BoardReply } from '#schemas/board';
import type { SessionView } from '#schemas/session';
import type { TaskReply, TaskSpecInput } from '#schemas/task';
import type { TaskView } from '#schemas/task-view';

export interface Saying {
  readonly type: string;
  readonly [field: string]: unknown;
}

export interface Desk {
  /** Address of who acts where nobody else is named. */
  readonly as: string;
  tasks(): Promise<readonly TaskView[]>;
  /** Undefined where nobody added it. */
  task(id: string): Promise<TaskView | undefined>;
  sessions(): Promise<readonly SessionView[]>;
  session(id: string): Promise<SessionView | undefined>;
  addTasks(tasks: readonly TaskSpecInput[]): Promise<BoardReply>;
  /** Says something to an actor and gives its answer. A refusal of a task is an answer; faults are thrown. */
  say(address: string, event: Saying, as?: string): Promise<TaskReply>;
  /** The client of whoever acts. */
  clientOf(as: string): Client;
}
