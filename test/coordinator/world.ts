/** The coordinator's actors in a realm in memory; leases and matches are the test's to give and take. */
import { digestDriver } from '#actors/coordinator/digest-driver';
import { board } from '#machines/board';
import { round } from '#machines/round';
import { session } from '#machines/session';
import { swarm } from '#machines/swarm';
import { task } from '#machines/task';
import { LeaseEnds } from '#runtime/claims/lease-ends';
import { type TestRealm, testRealm } from '#runtime/testing/testing';
import type { BoardReply } from '#schemas/board';
import type { SessionView } from '#schemas/session';
import type { TaskReply, TaskSpecInput } from '#schemas/task';
import type { TaskView } from '#schemas/task-view';

export const NOW = Date.parse('2026-01-05T00:00:00Z');

type Matched = (input: Readonly<Record<string, unknown>>) => unknown;

export class World implements AsyncDisposable {
  readonly realm: TestRealm;
  readonly ends: LeaseEnds;
  /** What the driver `match` finds; undefined: it goes on waiting. */
  matched: Matched = () => undefined;
  readonly sought: Readonly<Record<string, unknown>>[] = [];
  /** The driver `match` says of what was offered that it is gone, and what there is instead. */
  readonly takeAway = new Map<string, (next?: object) => void>();
  /** What the driver is told when it begins to follow what was offered. */
  readonly followed: Readonly<Record<string, unknown>>[] = [];

  private constructor(realm: TestRealm, ends: LeaseEnds) {
    this.realm = realm;
    this.ends = ends;
  }

  static async open(): Promise<World> {
    let world: World | undefined;
    const here = (): World => {
      if (world === undefined) throw new Error('an effect before its world');
      return world;
    };
    const realm = await testRealm({
      machines: [board, round, session, swarm, task],
      now: NOW,
      drivers: {
        digest: digestDriver,
        lease: {
          waits: true,
          run: async ({ actor, input, signal }) => {
            const { lease, ms } = input as { lease: string; ms: number };
            return { why: await here().ends.wait(actor, lease, ms, signal) };
          },
        },
        match: {
          waits: true,
          run: async ({ input, signal }) => {
            const wanted = input as Readonly<Record<string, unknown>>;
            if (wanted['want'] === 'taken') {
              return await new Promise((resolve, reject) => {
                here().followed.push(wanted);
                const gone = (next?: object): void => resolve(next === undefined ? {} : { next });
                here().takeAway.set(`${wanted['session']} ${wanted['task']}`, gone);
                signal.addEventListener('abort', () => reject(signal.reason));
              });
            }
            here().sought.push(wanted);
            const found = here().matched(wanted);
            if (found !== undefined) return found;
            return await new Promise((_, reject) => {
              signal.addEventListener('abort', () => reject(signal.reason));
            });
          },
        },
      },
    });
    world = new World(realm, new LeaseEnds(realm.clock));
    return world;
  }

  async add(...tasks: TaskSpecInput[]): Promise<BoardReply> {
    const reply = await this.ask('operator/o', 'board/main', { type: 'board.add', tasks });
    await this.realm.idle();
    return reply as BoardReply;
  }

  /** Says an action to a task. */
  async say(
    by: string,
    id: string,
    action: string,
    more: Readonly<Record<string, unknown>> = {},
  ): Promise<TaskReply> {
    const reply = await this.ask(by, `task/${id}`, { type: `task.${action}`, ...more });
    await this.realm.idle();
    return reply as TaskReply;
  }

  /** Takes a key and claims: the token. */
  async claim(by: string, id: string, revision: number, lease = `${by}-${revision}`): Promise<number> {
    this.ends.hear(`task/${id}`, lease);
    const reply = await this.say(by, id, 'claim', { lease, revision, leaseMs: 5_000 });
    if (!reply.accepted) throw new Error(reply.reason);
    return reply.token;
  }

  async register(id: string, more: Readonly<Record<string, unknown>> = {}): Promise<void> {
    await this.ask(`session/${id}`, `session/${id}`, { type: 'session.register', ...more });
    await this.realm.idle();
  }

  async view(id: string): Promise<TaskView> {
    return (await this.ask('operator/o', `task/${id}`, { type: 'task.get' })) as TaskView;
  }

  async session(id: string): Promise<SessionView> {
    return (await this.ask('operator/o', `session/${id}`, { type: 'session.get' })) as SessionView;
  }

  async ask(from: string, address: string, event: object): Promise<unknown> {
    return (await this.realm.ask(address, event, { from })).reply;
  }

  /** Names of the live events of an actor. */
  told(actor: string): string[] {
    return this.realm.bus.events.filter((event) => event.actor === actor).map(({ name }) => name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.realm[Symbol.asyncDispose]();
  }
}
