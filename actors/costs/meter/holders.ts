/** Who has a task: what a token of one session may have charged to the budget of a task. */
import type { Client } from '#runtime/client/client';
import { FabricError } from '#schemas/fabric-error';
import { SESSION_TYPE } from '#schemas/session';
import { TASK_TYPE } from '#schemas/task';
import type { TaskView } from '#schemas/task-view';

/** A task that it has, it mostly has for longer; one that it has not, it may claim at any moment. */
const HAS_MS = 30_000;
const HAS_NOT_MS = 1_000;
const KNOWN_MAX = 10_000;

export class Holders {
  readonly #client: Client;
  readonly #known = new Map<string, { readonly has: boolean; readonly until: number }>();

  constructor(client: Client) {
    this.#client = client;
  }

  /** True where it has the task or helps with it, and where the realm has no tasks that could say. */
  async has(session: string, task: string): Promise<boolean> {
    const key = `${session} ${task}`;
    const known = this.#known.get(key);
    if (known !== undefined && known.until > Date.now()) return known.has;
    const has = await this.#asked(`${SESSION_TYPE}/${session}`, task);
    if (this.#known.size >= KNOWN_MAX) this.#known.clear();
    this.#known.set(key, { has, until: Date.now() + (has ? HAS_MS : HAS_NOT_MS) });
    return has;
  }

  async #asked(session: string, task: string): Promise<boolean> {
    try {
      const { reply } = await this.#client.ask(`${TASK_TYPE}/${task}`, { type: 'task.get' });
      const { worker, helpers } = reply as TaskView;
      return worker === session || helpers.includes(session);
    } catch (thrown) {
      if (!(thrown instanceof FabricError)) throw thrown;
      if (thrown.code === 'unknown_kind') return true;
      if (thrown.code === 'unknown_task' || thrown.code === 'unknown_actor') return false;
      throw thrown;
    }
  }
}
