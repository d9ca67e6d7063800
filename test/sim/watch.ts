/** Checks while a schedule runs: nothing leaves a node that its log does not say already. */
import { decodeCommit, encode } from '#runtime/bus/codec';
import type { MailBundle, StoredCommit } from '#runtime/shard/ports';
import type { Commit } from '#schemas/commit';
import type { AnswerBody, Outcome } from './client.ts';
import { isMadeBy } from './load.ts';
import type { Server, ServerWatch } from './server.ts';
import type { World } from './world.ts';

/** Refusals that leave open whether it was done, wherever they come from. */
const OPEN = new Set(['shard_moved']);

export class Watch implements ServerWatch {
  readonly #world: World;
  readonly #commits = new Map<string, Commit>();
  readonly #last = new Map<number, Commit>();
  readonly #ids = new Set<string>();
  /** Who took a claim at each revision. */
  readonly #claimed = new Map<number, string>();

  constructor(world: World, server: Server) {
    this.#world = world;
    server.watch = this;
  }

  appended(shard: number, { bytes }: StoredCommit): void {
    const commit = decodeCommit(bytes);
    this.#commits.set(`${shard}/${commit.index}`, commit);
    this.#last.set(shard, commit);
    for (const { cause } of commit.entries)
      if ('id' in cause && cause.id !== undefined) this.#ids.add(cause.id);
  }

  /** Mail leaves after its commit, as its commit says it. */
  mailed(target: number, { source, index, items }: MailBundle): void {
    const said = this.#commits.get(`${source}/${index}`)?.mail;
    for (const { n, mail } of items) {
      const same = said?.[n];
      if (same === undefined || Buffer.compare(encode(same), encode(mail)) !== 0)
        this.#world.violate(`mail ${source}/${index}/${n} to shard ${target} is not in the log`);
    }
  }

  released(shard: number, seq: number): void {
    const consumed = this.#last.get(shard)?.consumed ?? 0;
    if (seq > consumed)
      this.#world.violate(`inbox of shard ${shard} let go of ${seq}; ${consumed} is consumed`);
  }

  claimed(_key: string, value: string, revision: number): void {
    const { holder } = JSON.parse(value) as { holder: string };
    this.#claimed.set(revision, holder);
  }

  /** An effect runs after its commit. */
  ran(key: string): void {
    const [shard, index, n] = key.split('.');
    if (this.#commits.get(`${shard}/${index}`)?.effects?.[Number(n)] === undefined)
      this.#world.violate(`effect ${key} ran and is not in the log`);
  }

  /** An answer leaves after its commit; a refusal means that nothing changed. */
  replied({ op, tries, heard }: Outcome, body: AnswerBody): void {
    if (body.ok) {
      const commit = this.#commits.get(`${body.commit.shard}/${body.commit.index}`);
      const entry = commit?.entries.find((e) => isMadeBy(e, op));
      if (entry === undefined) this.#world.violate(`${op.id} was answered before its commit`);
      else if (entry.op === 'dead') this.#world.violate(`${op.id} was acknowledged and is dead`);
    } else if (
      body.error.retryable &&
      tries === 1 &&
      heard === 1 &&
      !OPEN.has(body.error.code) &&
      this.#ids.has(op.id)
    ) {
      this.#world.violate(`${op.id} was refused with ${body.error.code} and is in the log`);
    }
  }

  /** Who writes under a token took the claim at it. */
  checkClaims(server: Server): void {
    for (const [token, writers] of server.guarded.writers)
      for (const who of writers)
        if (this.#claimed.get(token) !== who)
          this.#world.violate(`${who} wrote under token ${token} of another`);
  }
}
