/** The coordinator's client over the ordinary client: claims with leases, tasks, sessions, swarms. */

import type { Client } from '#runtime/client/client';
import { isActorId, isActorType } from '#schemas/address';
import type { BoardReply } from '#schemas/board';
import { FabricError } from '#schemas/fabric-error';
import { ROUND_TYPE, type RoundView } from '#schemas/round';
import type { SessionInput, SessionView } from '#schemas/session';
import type { SwarmTemplate, SwarmView } from '#schemas/swarm';
import type { Said, TaskReply, TaskSpecInput } from '#schemas/task';
import type { TaskView } from '#schemas/task-view';
import { Asking, optional } from './asking.ts';
import { Claims } from './claims.ts';
import { coordinatorErrors } from './errors.ts';
import { isRoundView } from './is-view.ts';
import { outcomeOf } from './outcome.ts';
import { Presence } from './presence.ts';
import { Sight } from './sight.ts';
import type {
  Candidate,
  ClaimResult,
  CoordinatorClient,
  CoordinatorOptions,
  SessionNews,
  Submitted,
  TaskFilter,
  TaskNews,
  WatchFilter,
  Why,
} from './types.ts';
import { watch } from './watching.ts';

/**
 * Throws `no_address_of_own` where the client was opened without the address of who acts. Closing it leaves the client
 * open, and leases to expire; a client that is closed closes it.
 *
 * @example
 * await using client = await connect({ runFile, from: 'session/ndi' });
 * await using coordinator = openCoordinator(client);
 * const { won } = await coordinator.claim('P0.1.1');
 */
export function openCoordinator(client: Client, options: CoordinatorOptions = {}): CoordinatorClient {
  return new Coordinator(client, options);
}

class Coordinator implements CoordinatorClient {
  readonly as: string;
  readonly #client: Client;
  readonly #asking: Asking;
  readonly #claims: Claims;
  readonly #presence: Presence;
  readonly #sight: Sight;

  constructor(client: Client, options: CoordinatorOptions) {
    this.as = client.from;
    const slash = this.as.indexOf('/');
    if (!isActorType(this.as.slice(0, Math.max(slash, 0))) || !isActorId(this.as.slice(slash + 1))) {
      throw new FabricError(
        coordinatorErrors.no_address_of_own,
        `"${this.as}" is not the address of a worker`,
      );
    }
    const own = this.as.slice(slash + 1);
    this.#client = client;
    this.#asking = new Asking(client, options);
    this.#claims = new Claims(client, this.#asking, own, options);
    this.#presence = new Presence(this.as, this.#asking, this.#claims.leases, this.#claims.leaseMs);
    this.#sight = new Sight(client, this.#asking, own, () => this.#claims.tasks);
    // Leases that nothing renews any more would keep the process from its end.
    void client.connection.closed().then(() => this[Symbol.asyncDispose]());
  }

  async addTasks(tasks: readonly TaskSpecInput[]): Promise<BoardReply> {
    return await this.#asking.addTasks(tasks);
  }

  async tasks(filter?: TaskFilter): Promise<readonly TaskView[]> {
    return await this.#sight.tasks(filter);
  }

  async task(id: string): Promise<TaskView | undefined> {
    return await this.#asking.taskView(id);
  }

  async claim(id: string): Promise<ClaimResult> {
    return await this.#claims.claim(id);
  }

  async renew(id: string): Promise<boolean> {
    return await this.#claims.renew(id);
  }

  async release(id: string, reason?: string): Promise<TaskReply> {
    return await this.#claims.end(id, { action: 'release', ...optional({ reason }) });
  }

  async transfer(id: string, to: string): Promise<TaskReply> {
    return await this.#claims.transfer(id, to);
  }

  async adopt(id: string): Promise<ClaimResult> {
    return await this.#claims.adopt(id);
  }

  async decline(id: string, reason?: string): Promise<void> {
    await this.#asking.session(this.as, { action: 'decline', task: id, ...optional({ reason }) });
  }

  async progress(id: string, milestone: number, note?: string): Promise<TaskReply> {
    return await this.#claims.write(id, { action: 'progress', milestone, ...optional({ note }) });
  }

  async block(
    id: string,
    on: string,
    kind: 'task' | 'person' | 'resource' = 'task',
    reason?: string,
  ): Promise<TaskReply> {
    return await this.#claims.write(id, { action: 'block', on, kind, ...optional({ reason }) });
  }

  async unblock(id: string): Promise<TaskReply> {
    return await this.#claims.write(id, { action: 'unblock' });
  }

  async askHelp(id: string, reason?: string, requires?: readonly string[]): Promise<TaskReply> {
    const wanted = requires === undefined ? {} : { requires: [...requires] };
    return await this.#claims.write(id, { action: 'help', ...wanted, ...optional({ reason }) });
  }

  async join(id: string): Promise<TaskReply> {
    return await this.#asking.task(id, { action: 'join' });
  }

  async leave(id: string): Promise<TaskReply> {
    return await this.#asking.task(id, { action: 'leave' });
  }

  async say(id: string, content: unknown, performative = 'inform'): Promise<TaskReply> {
    return await this.#asking.task(id, { action: 'say', content, as: performative });
  }

  async conversation(id: string): Promise<readonly Said[]> {
    return (await this.#asking.task<{ readonly messages: readonly Said[] }>(id, { action: 'conversation' }))
      .messages;
  }

  async complete(id: string, submission: Submitted = {}): Promise<TaskReply> {
    return await this.#claims.end(id, { action: 'complete', ...submission });
  }

  async fail(id: string, reason?: string): Promise<TaskReply> {
    return await this.#claims.end(id, { action: 'fail', ...optional({ reason }) });
  }

  async cancel(id: string, reason?: string): Promise<TaskReply> {
    return await this.#claims.end(id, { action: 'cancel', ...optional({ reason }) });
  }

  async retry(id: string, reason?: string): Promise<TaskReply> {
    return await this.#asking.task(id, { action: 'retry', ...optional({ reason }) });
  }

  async override(id: string, reason: string): Promise<TaskReply> {
    return await this.#asking.task(id, { action: 'override', reason });
  }

  async amend(
    id: string,
    changes: { readonly priority?: number; readonly deadline?: number | null; readonly title?: string },
  ): Promise<TaskReply> {
    return await this.#asking.task(id, { action: 'amend', ...changes });
  }

  async registerSession(session: Partial<Omit<SessionInput, 'id'>> = {}): Promise<readonly string[]> {
    const view = await this.#presence.begin(session);
    const adopted: string[] = [];
    for (const { id } of view?.tasks ?? []) {
      if (this.#claims.has(id) || (await this.adopt(id)).won) adopted.push(id);
    }
    return adopted;
  }

  async heartbeat(): Promise<boolean> {
    return await this.#presence.renew();
  }

  async closeSession(): Promise<void> {
    await this.#presence.end();
  }

  async sessions(): Promise<readonly SessionView[]> {
    return await this.#sight.sessions();
  }

  async session(id: string): Promise<SessionView | undefined> {
    return await this.#asking.sessionView(id);
  }

  async nextFor(session: string = this.as): Promise<readonly Candidate[]> {
    return await this.#sight.nextFor(session);
  }

  async why(id: string): Promise<Why | undefined> {
    return await this.#sight.why(id);
  }

  async openRound(
    id: string,
    { task, requires = [] }: { readonly task?: string; readonly requires?: readonly string[] } = {},
  ): Promise<RoundView> {
    return await this.#asking.round(id, { action: 'open', requires: [...requires], ...optional({ task }) });
  }

  async bid(round: string, confidence: number): Promise<void> {
    await this.#asking.session(this.as, { action: 'bid', round, confidence });
  }

  async decideRound(id: string): Promise<RoundView> {
    await this.#asking.round(id, { action: 'decide' });
    return await outcomeOf(this.#client, {
      type: ROUND_TYPE,
      id,
      look: () => this.#asking.roundView(id),
      shown: ({ round }) => (isRoundView(round) ? round : undefined),
      outcomeOf: (round) => (round.status === 'decided' ? round : undefined),
    });
  }

  async formSwarm(template: SwarmTemplate): Promise<SwarmView> {
    return await this.#asking.swarm(template.id, { action: 'form', template });
  }

  async swarm(id: string): Promise<SwarmView | undefined> {
    return await this.#asking.swarmView(id);
  }

  async swarms(): Promise<readonly SwarmView[]> {
    return await this.#sight.swarms();
  }

  async stopSwarm(id: string, reason?: string): Promise<void> {
    await this.#asking.swarm(id, { action: 'stop', ...optional({ reason }) });
  }

  watch(filter: WatchFilter, heard: (news: TaskNews | SessionNews) => void): () => void {
    return watch(this.#client, filter, heard);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#claims[Symbol.asyncDispose]();
    await this.#sight[Symbol.asyncDispose]();
  }
}
