/** What is asked of the actors of the coordinator, as events or as signed messages. */
import type { Client } from '#runtime/client/client';
import { BOARD_DEFAULT, BOARD_TYPE, type BoardReply } from '#schemas/board';
import { FabricError } from '#schemas/fabric-error';
import { ROUND_TYPE, type RoundAction, type RoundView } from '#schemas/round';
import { SESSION_TYPE, type SessionActionInput, type SessionView } from '#schemas/session';
import { SWARM_TYPE, type SwarmAction, type SwarmView } from '#schemas/swarm';
import {
  ADDED_MAX,
  TASK_TYPE,
  type TaskActionInput,
  type TaskReply,
  type TaskSpecInput,
} from '#schemas/task';
import type { TaskView } from '#schemas/task-view';
import { coordinatorErrors } from './errors.ts';
import type { CoordinatorOptions } from './types.ts';

/** Specs of one batch: what a step of the board puts out has a bound. */
const BATCH_CHARS_MAX = 64 * 1024;
/** Nobody lives there (yet). */
const ABSENT = new Set(['unknown_task', 'unknown_session', 'unknown_swarm', 'unknown_actor', 'unknown_kind']);

export class Asking {
  readonly #client: Client;
  readonly #board: string;
  readonly #isSigned: boolean;

  constructor(client: Client, { board = BOARD_DEFAULT, signed = false }: CoordinatorOptions) {
    this.#client = client;
    this.#board = `${BOARD_TYPE}/${board}`;
    this.#isSigned = signed;
  }

  async addTasks(tasks: readonly TaskSpecInput[]): Promise<BoardReply> {
    const added: string[] = [];
    const known: string[] = [];
    const missing = new Set<string>();
    for (const batch of batches(tasks)) {
      const { reply } = await this.#client.ask(this.#board, { type: 'board.add', tasks: batch });
      const answer = reply as BoardReply;
      if (!answer.accepted) return answer;
      added.push(...answer.added);
      known.push(...answer.known);
      for (const id of answer.missing) missing.add(id);
    }
    for (const id of [...added, ...known]) missing.delete(id);
    return { accepted: true, added, known, missing: [...missing] };
  }

  async task<T = TaskReply>(id: string, action: TaskActionInput): Promise<T> {
    return await this.#ask<T>(taskAddress(id), 'task', action);
  }

  /** Undefined where there is none. */
  async taskView(id: string): Promise<TaskView | undefined> {
    return await orAbsent(this.task<TaskView>(id, { action: 'get' }));
  }

  async session<T = unknown>(address: string, action: SessionActionInput): Promise<T> {
    return await this.#ask<T>(address, 'session', action);
  }

  /** Undefined where there is none. */
  async sessionView(id: string): Promise<SessionView | undefined> {
    const address = id.includes('/') ? id : `${SESSION_TYPE}/${id}`;
    return await orAbsent(this.session<SessionView>(address, { action: 'get' }));
  }

  async round(id: string, action: Exclude<RoundAction, { action: 'get' }>): Promise<RoundView> {
    const address = `${ROUND_TYPE}/${id}`;
    const reply = await this.#ask<{ round?: RoundView; reason?: string }>(address, 'round', action);
    if (reply.round !== undefined) return reply.round;
    throw new FabricError(coordinatorErrors.unexpected_reply, `${address}: ${reply.reason ?? 'no answer'}`);
  }

  async roundView(id: string): Promise<RoundView> {
    return await this.#ask<RoundView>(`${ROUND_TYPE}/${id}`, 'round', { action: 'get' });
  }

  async swarm(id: string, action: SwarmAction): Promise<SwarmView> {
    const address = `${SWARM_TYPE}/${id}`;
    const reply = await this.#ask<{ swarm?: SwarmView; reason?: string }>(address, 'swarm', action);
    if (reply.swarm !== undefined) return reply.swarm;
    throw new FabricError(coordinatorErrors.unexpected_reply, `${address}: ${reply.reason ?? 'no answer'}`);
  }

  /** Undefined where there is none. */
  async swarmView(id: string): Promise<SwarmView | undefined> {
    return await orAbsent(this.swarm(id, { action: 'get' }));
  }

  async #ask<T>(
    address: string,
    prefix: string,
    { action, ...rest }: TaskActionInput | SessionActionInput | SwarmAction | RoundAction,
  ): Promise<T> {
    if (!this.#isSigned)
      return (await this.#client.ask(address, { ...rest, type: `${prefix}.${action}` })).reply as T;
    const draft = {
      performative: 'request' as const,
      to: [`if://${address}`],
      conversation: address,
      content: { action, ...rest },
    };
    return (await this.#client.askMessage(draft)).reply as T;
  }
}

export function taskAddress(id: string): string {
  return `${TASK_TYPE}/${id}`;
}

/** Fields that are there. */
export function optional<T extends Record<string, unknown>>(
  fields: T,
): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as never;
}

async function orAbsent<T>(asked: Promise<T>): Promise<T | undefined> {
  try {
    return await asked;
  } catch (thrown) {
    if (thrown instanceof FabricError && ABSENT.has(thrown.code)) return undefined;
    throw thrown;
  }
}

function* batches(tasks: readonly TaskSpecInput[]): Generator<TaskSpecInput[]> {
  let batch: TaskSpecInput[] = [];
  let chars = 0;
  for (const task of tasks) {
    const size = JSON.stringify(task).length;
    if (batch.length === ADDED_MAX || (batch.length > 0 && chars + size > BATCH_CHARS_MAX)) {
      yield batch;
      [batch, chars] = [[], 0];
    }
    batch.push(task);
    chars += size;
  }
  if (batch.length > 0) yield batch;
}
