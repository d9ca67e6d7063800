/** Live events of tasks, sessions and rounds, as the client tells them. */
import { type EventBody, listenToEvents } from '#runtime/bus/live-event';
import type { Client } from '#runtime/client/client';
import { clientSubjects } from '#runtime/client/subjects';
import { SESSION_TYPE, type SessionEventName } from '#schemas/session';
import { TASK_TYPE } from '#schemas/task';
import type { TaskEventName } from '#schemas/task-view';
import { isSessionView, isTaskView } from './is-view.ts';
import type { SessionNews, TaskNews, WatchFilter } from './types.ts';

/** What an event says. */
interface Told extends EventBody {
  readonly type: string;
}

/**
 * Calls for each event from now on, until the function that is given back is called. What `heard` throws is an uncaught
 * error, as a listener's of an EventTarget is. Throws `bad_pattern`.
 */
export function watch(
  client: Client,
  { task, session, events }: WatchFilter,
  heard: (news: TaskNews | SessionNews) => void,
): () => void {
  const tasks = task === undefined && session === undefined ? '*' : task;
  const hear = (news: TaskNews | SessionNews | undefined): void => {
    if (news !== undefined) heard(news);
  };
  const closers = [
    ...(tasks === undefined
      ? []
      : [follow(client, TASK_TYPE, tasks, (told) => hear(taskNews(told)), events)]),
    ...(session === undefined
      ? []
      : [follow(client, SESSION_TYPE, session, (told) => hear(sessionNews(told)), events)]),
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
    listenToEvents(connection, subject, (told) => {
      if (isTold(told) && told.type.startsWith(`${type}.`)) heard(told);
    }),
  );
  return () => {
    for (const subscription of subscriptions) subscription.unsubscribe();
  };
}

function isTold(body: EventBody): body is Told {
  return typeof body['type'] === 'string';
}

/** Undefined for what others' machines say of tasks. */
function taskNews({ type, task }: Told): TaskNews | undefined {
  return isTaskView(task) ? { kind: 'task', event: type as TaskEventName, task } : undefined;
}

/** Undefined likewise. */
function sessionNews({ type, session, ...details }: Told): SessionNews | undefined {
  return isSessionView(session)
    ? { kind: 'session', event: type as SessionEventName, session, details }
    : undefined;
}
