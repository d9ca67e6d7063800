/**
 * A stream of numbered messages by every way into an actor and on from there, and the check afterwards that each left
 * its mark exactly once and in order. Whatever is done to the realm meanwhile must not show.
 */

import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Subjects } from '#runtime/bus/subjects';
import type { Client } from '#runtime/client/node';

/** Longer than any outage a test makes. */
const PATIENCE_MS = 60_000;
const LOOK_EVERY_MS = 20;
/** An endless load leaves the machine time for what is done to it. */
const PACE_MS = 10;

/** An HTTP server that writes down who called under which key. */
export class Recorder {
  /** Keys by body: the effect's stable name, once per call. */
  readonly calls = new Map<string, string[]>();
  readonly #server: Server;
  /** Called for each request before it is answered. */
  onCall: (body: string) => void = () => {};

  private constructor(server: Server) {
    this.#server = server;
    server.on('request', async (request, response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      const body = Buffer.concat(chunks).toString();
      const keys = this.calls.get(body) ?? [];
      keys.push(String(request.headers['idempotency-key']));
      this.calls.set(body, keys);
      this.onCall(body);
      response.end('ok');
    });
  }

  static async start(): Promise<Recorder> {
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new Recorder(server);
  }

  get host(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }
}

/** Ids of actors so that the nth lives in shard n. */
export function idsByShard(type: string, shards: number, name: string): string[] {
  const subjects = new Subjects('if', shards);
  return Array.from({ length: shards }, (_, shard) => {
    for (let n = 0; ; n++)
      if (subjects.shardOf(`${type}/${name}${n}`) === shard) return `${type}/${name}${n}`;
  });
}

/** Looks until it is so; throws when it is not in time. */
export async function until(isSo: () => Promise<boolean>, what = 'it'): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS;
  while (!(await isSo())) {
    if (Date.now() > deadline) throw new Error(`no ${what} within ${PATIENCE_MS} ms`);
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  }
}

export interface LoadOptions {
  readonly client: () => Promise<Client>;
  readonly shards: number;
  readonly recorder?: Recorder;
  /** Asks at a time of each kind. */
  readonly askers?: number;
  /** Asks each worker does; endless where absent. */
  readonly count?: number;
}

export class Load {
  readonly #options: LoadOptions;
  readonly #workers: Promise<void>[] = [];
  /** What must stand where, each once: address → labels of one sender in order. */
  readonly #expected = new Map<string, string[][]>();
  readonly #stopping = Promise.withResolvers<void>();
  /** Rejects with the first message that was given up. */
  readonly #failed = Promise.withResolvers<never>();
  #stopped = false;
  #acked = 0;
  #progress = Promise.withResolvers<void>();

  constructor(options: LoadOptions) {
    this.#options = options;
    this.#failed.promise.catch(() => undefined);
  }

  /** Messages acknowledged so far. */
  get acked(): number {
    return this.#acked;
  }

  async start(): Promise<void> {
    const { shards, recorder, askers = 2 } = this.#options;
    const direct = idsByShard('ledger', shards, 'direct');
    const relays = idsByShard('ledger', shards, 'relay');
    const targets = idsByShard('ledger', shards, 'target');
    const [timed = ''] = idsByShard('ledger', shards, 'timed');
    const [caller = ''] = idsByShard('ledger', shards, 'caller');
    // Mail brings nobody to life.
    const client = await this.#options.client();
    await Promise.all(targets.map((address) => ask(client, address)));
    for (const [shard, address] of direct.entries()) {
      for (let n = 0; n < askers; n++) {
        this.#worker(`ask${shard}.${n}`, async (label, id) => {
          await client.ask(address, { type: 'put', label }, { id, timeoutMs: PATIENCE_MS });
          return [[address, label]];
        });
      }
      this.#worker(`send${shard}`, async (label, id) => {
        await client.send(address, { type: 'put', label }, { id, timeoutMs: PATIENCE_MS });
        return [[address, label]];
      });
      const from = relays[shard] ?? '';
      for (const to of targets) {
        this.#worker(`${from}-${to}`.replaceAll('/', '.'), async (label, id) => {
          await client.ask(from, { type: 'relay', label, to }, { id, timeoutMs: PATIENCE_MS });
          return [
            [from, label],
            [to, `${label}>`],
          ];
        });
      }
    }
    this.#worker('timed', async (label, id) => {
      await client.ask(timed, { type: 'later', label, ms: 40 }, { id, timeoutMs: PATIENCE_MS });
      return [
        [timed, label],
        [timed, `${label}+`],
      ];
    });
    if (recorder === undefined) return;
    const url = `http://${recorder.host}/`;
    this.#worker('call', async (label, id) => {
      await client.ask(caller, { type: 'call', label, url }, { id, timeoutMs: PATIENCE_MS });
      // The next call waits for the end of this one: the machine takes one at a time.
      await this.#await(client, caller, (got) => got.includes(`${label}!`), `${label}! at ${caller}`);
      return [
        [caller, label],
        [caller, `${label}!`],
      ];
    });
  }

  /** Resolves when `count` more messages were acknowledged. */
  async more(count: number): Promise<void> {
    const until = this.#acked + count;
    while (this.#acked < until) await Promise.race([this.#progress.promise, this.#failed.promise]);
  }

  /** Resolves when every worker has done its `count`. */
  async finish(): Promise<void> {
    await Promise.race([Promise.all(this.#workers), this.#failed.promise]);
  }

  /** No new messages; resolves when the last ones are acknowledged. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#stopping.resolve();
    await this.finish();
  }

  /** Waits until everything expected has come; what is wrong then. */
  async violations(): Promise<string[]> {
    const client = await this.#options.client();
    const wrong: string[] = [];
    for (const [address, senders] of this.#expected) {
      const labels = senders.flat();
      const got = await this.#await(
        client,
        address,
        (held) => new Set(held).size >= labels.length,
        `${labels.length} labels at ${address}`,
      ).catch((error: Error) => {
        wrong.push(error.message);
        return ask(client, address);
      });
      const places = new Map<string, number[]>();
      for (const [at, label] of got.entries()) places.set(label, [...(places.get(label) ?? []), at]);
      for (const label of labels) {
        const times = places.get(label)?.length ?? 0;
        if (times !== 1) wrong.push(`${label} stands ${times} times at ${address}`);
      }
      for (const sent of senders) {
        const at = sent.map((label) => places.get(label)?.[0] ?? -1);
        for (let n = 1; n < at.length; n++) {
          if ((at[n] ?? 0) < (at[n - 1] ?? 0)) wrong.push(`${sent[n]} overtook ${sent[n - 1]} at ${address}`);
        }
      }
    }
    for (const [body, keys] of this.#options.recorder?.calls ?? []) {
      if (new Set(keys).size !== 1) wrong.push(`${body} was called under ${new Set(keys).size} keys`);
    }
    return wrong;
  }

  #worker(
    name: string,
    act: (label: string, id: string) => Promise<readonly (readonly [string, string])[]>,
  ): void {
    const sent = new Map<string, string[]>();
    const run = async (): Promise<void> => {
      for (let n = 0; !this.#stopped && n < (this.#options.count ?? Number.POSITIVE_INFINITY); n++) {
        for (const [address, label] of await act(`${name}.${n}`, `${name}-${n}`)) {
          const kind = `${address} ${/[>+!]?$/.exec(label)?.[0] ?? ''}`;
          let mine = sent.get(kind);
          if (mine === undefined) {
            mine = [];
            sent.set(kind, mine);
            const all = this.#expected.get(address);
            if (all === undefined) this.#expected.set(address, [mine]);
            else all.push(mine);
          }
          mine.push(label);
        }
        this.#acked += 1;
        this.#progress.resolve();
        this.#progress = Promise.withResolvers();
        if (this.#options.count === undefined) {
          await Promise.race([this.#stopping.promise, new Promise((go) => setTimeout(go, PACE_MS))]);
        }
      }
    };
    this.#workers.push(run().catch((error: unknown) => this.#failed.reject(error)));
  }

  async #await(
    client: Client,
    address: string,
    enough: (got: readonly string[]) => boolean,
    what: string,
  ): Promise<readonly string[]> {
    let got: readonly string[] = [];
    await until(async () => {
      got = await ask(client, address);
      return enough(got);
    }, what);
    return got;
  }
}

async function ask(client: Client, address: string): Promise<readonly string[]> {
  const { reply } = await client.ask(address, { type: 'get' }, { timeoutMs: PATIENCE_MS });
  return (reply as { got: readonly string[] }).got;
}
