/** Opens the board of the realm that a command means, in the name of whoever acts. */
import { setTimeout as pause } from 'node:timers/promises';
import { type Command, Option } from 'commander';
import { sessionView } from '#machines/session/context';
import { viewOf } from '#machines/task/view';
import type { CommonOptions, Run } from '#runtime/cli/command';
import { Refused } from '#runtime/cli/exit-codes';
import type { Io } from '#runtime/cli/io';
import { type Realm, withRealm } from '#runtime/cli/realm';
import type { Draft } from '#runtime/cli/send-lines';
import { Client } from '#runtime/client/client';
import { accessRoleOf } from '#schemas/access';
import { FabricError } from '#schemas/fabric-error';
import { SESSION_TYPE } from '#schemas/session';
import { TASK_TYPE, type TaskReply } from '#schemas/task';
import type { TaskView } from '#schemas/task-view';
import { checkedOf } from '../checked.ts';
import { openCoordinator } from '../client.ts';
import type { Desk, Saying } from '../desk.ts';
import { coordinatorErrors } from '../errors.ts';
import { actorOf, isBound } from './acting.ts';
import { refused } from './refusal.ts';

const LOOK_EVERY_MS = 50;
/** Code with which a signed door refuses a plain event. */
const WANTS_MESSAGE = 'bad_envelope';
/** Nobody lives there. */
const ABSENT = new Set(['actor_absent', 'bad_address']);

export interface ActingOptions {
  readonly as?: string;
}

/** What a command works with: a board, and the realm around it. */
export interface OpenDesk extends Desk {
  readonly realm: Realm;
  /** The view of an actor as it is; undefined where none is, it is absent, or runs somebody else's machine. */
  seen<Context extends { readonly status: string }, View>(
    type: string,
    id: string,
    view: (context: Context) => View,
  ): Promise<View | undefined>;
}

/** `--as`: who acts. */
export function withActing(command: Command): Command {
  return command.addOption(
    new Option(
      '--as <who>',
      'who acts: a session, or an address such as operator/ann; INFRAFABRIC_AS or INFRAFABRIC_SESSION when absent',
    ),
  );
}

export async function withDesk<T>(
  { options, io }: Run<ActingOptions>,
  use: (desk: OpenDesk) => Promise<T>,
  stays = false,
): Promise<T> {
  return await withRealm<T>(
    options as CommonOptions,
    io,
    async (realm) => {
      const as = actorOf(options.as ?? given(io.env, 'INFRAFABRIC_AS', 'INFRAFABRIC_SESSION'), realm.owner);
      const clients = new Map<string, Client>();
      const { prefix } = realm.target;
      const shards = await realm.shardCount();
      // Clients share the realm's connection: closing one would close it for all.
      const clientOf = (who: string): Client => {
        const known = clients.get(who) ?? new Client(realm.connection, { from: who, prefix, shards });
        clients.set(who, known);
        return known;
      };
      await using coordinator = openCoordinator(clientOf(as));
      const signed = new Set<string>();
      const say = async (address: string, event: Saying, who = as): Promise<TaskReply> => {
        const type = address.slice(0, address.indexOf('/'));
        const asMessage = async (): Promise<TaskReply> =>
          (await realm.askDraft(requestOf(address, event, who))).reply as TaskReply;
        if (signed.has(type)) return await asMessage();
        try {
          return (await clientOf(who).ask(address, event)).reply as TaskReply;
        } catch (thrown) {
          if (!(thrown instanceof FabricError) || thrown.code !== WANTS_MESSAGE) throw thrown;
          signed.add(type);
          return await asMessage();
        }
      };
      // Whoever sees everything looks at what is there, and leaves no question in the log.
      const sees = !isBound(realm.owner) || accessRoleOf(realm.owner) === 'auditor';
      return await use({
        as,
        realm,
        seen: (type, id, view) => seen(realm, type, id, view),
        clientOf,
        say,
        tasks: () => listed(coordinator.tasks(), realm.owner),
        task: (id) => (sees ? seen(realm, TASK_TYPE, id, viewOf) : coordinator.task(id)),
        sessions: () => listed(coordinator.sessions(), realm.owner),
        session: (id) => (sees ? seen(realm, SESSION_TYPE, id, sessionView) : coordinator.session(id)),
        addTasks: (tasks) => coordinator.addTasks(tasks),
      });
    },
    stays,
  );
}

/** The first of these variables that says something. */
function given(env: Io['env'], ...names: readonly string[]): string | undefined {
  return names.map((name) => env[name]).find((text) => text !== undefined && text !== '');
}

/** The view of an actor that is there; undefined where none is, or somebody else's machine. */
async function seen<Context extends { readonly status: string }, View>(
  realm: Realm,
  type: string,
  id: string,
  view: (context: Context) => View,
): Promise<View | undefined> {
  try {
    const { machine, context } = await realm.show(`${type}/${id}`);
    const isOurs = machine.startsWith(`${type}@`) && (context as Context).status !== 'absent';
    return isOurs ? view(context as Context) : undefined;
  } catch (thrown) {
    const error = thrown instanceof Refused ? thrown.error : thrown;
    if (error instanceof FabricError && ABSENT.has(error.code)) return undefined;
    throw thrown;
  }
}

/** What is said, as a signed message: the form in which a kind with `door: signed` takes it. */
function requestOf(address: string, { type, ...fields }: Saying, who: string): Draft {
  return {
    performative: 'request',
    from: `if://${who}`,
    to: [`if://${address}`],
    conversation: address,
    content: { action: type.slice(type.indexOf('.') + 1), ...fields },
  };
}

/** Workers of a secure realm may not ask nodes for everything there is: the server refuses it. */
async function listed<T>(asked: Promise<T>, owner: string | undefined): Promise<T> {
  try {
    return await asked;
  } catch (cause) {
    if (!isBound(owner) || !(cause instanceof FabricError) || cause.code !== 'api_refused') throw cause;
    throw new FabricError(coordinatorErrors.list_refused, `The key of ${owner} may not list what there is`, {
      cause,
    });
  }
}

/** Undefined where the key may not list what there is. */
export async function orUnseen<T>(asked: Promise<T>): Promise<T | undefined> {
  try {
    return await asked;
  } catch (thrown) {
    const { code } = coordinatorErrors.list_refused;
    if (thrown instanceof FabricError && thrown.code === code) return undefined;
    throw thrown;
  }
}

/** Says something to a task in the name of whoever acts, under the token of the claim where it is theirs. */
export async function sayToTask(
  desk: Desk,
  id: string,
  event: Saying,
): Promise<TaskReply & { readonly accepted: true }> {
  const task = await knownTask(desk, id);
  const token = task.worker === desk.as ? { token: task.token } : {};
  const reply = await desk.say(`task/${id}`, { ...token, ...event });
  if (!reply.accepted) throw refused(task, reply, desk.as);
  return reply.checking === true ? await checked(desk, id) : reply;
}

/** What the governor says of a claim: it can only be looked at from outside. The task itself gives up in time. */
async function checked(desk: Desk, id: string): Promise<TaskReply & { readonly accepted: true }> {
  for (;;) {
    const task = await knownTask(desk, id);
    const outcome = checkedOf(task, desk.as);
    if (outcome?.accepted === true) return { ...outcome, status: task.status, milestone: task.milestone };
    if (outcome !== undefined) throw refused(task, outcome, desk.as);
    await pause(LOOK_EVERY_MS);
  }
}

/** Throws `task_unknown`. */
export async function knownTask(desk: Desk, id: string): Promise<TaskView> {
  const task = await desk.task(id);
  if (task !== undefined) return task;
  throw new Refused(new FabricError(coordinatorErrors.task_unknown, `There is no task ${id}`));
}
