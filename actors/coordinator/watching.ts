/** Live events of tasks, sessions and rounds, as the client tells them. */
import type { Client } from '#runtime/client/client';
import { clientSubjects } from '#runtime/client/subjects';
import { SESSION_TYPE, type SessionEventName, type SessionView } from '#schemas/session';
import { TASK_TYPE } from '#schemas/task';
import type { TaskEventName, TaskView } from '#schemas/task-view';
import type { SessionNews, TaskNews, WatchFilter } from './types.ts';

/** What an event says. */
interface Told {
  readonly type: string;
  readonly [field: string]: unknown;
}

/** Calls for each event from now on, until the function that is given back is called. Throws `bad_pattern`. */
export function watch(
  client: Client,
  { task, session, events }: WatchFilter,
  heard: (news: TaskNews | SessionNews) => void,
): () => void {
  const tasks = task === undefined && session === undefined ? '*' : task;
  const closers = [
    ...(tasks === undefined
      ? []
      : [follow(client, TASK_TYPE, tasks, (told) => heard(taskNews(told)), events)]),
    ...(session === undefined
      ? []
      : [follow(client, SESSION_TYPE, session, (told) => heard(sessionNews(told)), events)]),
  ];
  return () => {
    for (const close of closers) close();
  };
}

/** Events of one type of actors: all, or those of these names. Throws `bad_pattern`. */
export function follow(
  { connection, prefix }: Client,
  type: string,
  id: string,
  heard: (told: Told) => void,
  names?: readonly string[],
): () => void {
  const { events } = clientSubjects(prefix);
  const own = names && [...new Set(names)].filter((name) => name.startsWith(`${type}.`));
  const subjects = own?.map((name) => events(`${type}/${id}`, name)) ?? [events(`${type}/${id}`)];
  const subscriptions = subjects.map((subject) =>
    connection.subscribe(subject, {
      callback: (error, message) => {
        if (error !== null) return;
        const told = message.json<Partial<Told>>();
        if (typeof told.type === 'string' && told.type.startsWith(`${type}.`)) heard(told as Told);
      },
    }),
  );
  return () => {
    for (const subscription of subscriptions) subscription.unsubscribe();
  };
}

function taskNews({ type, task }: Told): TaskNews {
  return { kind: 'task', event: type as TaskEventName, task: task as TaskView };
}

function sessionNews({ type, session, ...details }: Told): SessionNews {
  return { kind: 'session', event: type as SessionEventName, session: session as SessionView, details };
}
