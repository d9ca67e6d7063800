/** The admin API of a node: requests on `<prefix>.api.…`, JSON both ways, and what `nats micro` asks of a service. */
import type { Msg, NatsConnection, Subscription } from '@nats-io/nats-core';
import { ReplyGuard } from '#runtime/bus/reply-guard';
import { respond } from '#runtime/bus/respond';
import type { Subjects } from '#runtime/bus/subjects';
import type { Logger } from '#runtime/shard/ports';
import type { Shard } from '#runtime/shard/shard';
import { estimateBytes } from '#runtime/shard/size';
import type { Cell } from '#runtime/shard/table';
import { statusOf } from '#runtime/shard/table';
import { parseAddress } from '#schemas/address';
import { FabricError, toWireError } from '#schemas/fabric-error';
import { logBreakSchema, WITNESS_ACTOR, WITNESS_MACHINE } from '#schemas/log-break';
import {
  type ActorSummary,
  type DrainRequest,
  fromWireError,
  type KeyringReply,
  LIST_LIMIT_DEFAULT,
  LIST_LIMIT_MAX,
  type ListReply,
  type ListRequest,
  type MembersReply,
  type NodeStatus,
  type RedactReply,
  type RedactRequest,
  type ShowReply,
  type ShowRequest,
} from './api.ts';
import { nodeErrors } from './errors.ts';

export interface ApiHandlers {
  readonly status: () => NodeStatus;
  readonly down: () => void;
  readonly members: () => MembersReply;
  readonly drain: (on: boolean) => Promise<void>;
}

/** Orders of operators, each to the shard of the actor that takes it. */
export interface ShardOrders {
  readonly redact: (shard: Shard, request: RedactRequest) => Promise<RedactReply>;
  readonly keyring: (shard: Shard, request: unknown) => Promise<KeyringReply>;
}

const SERVICE_NAME = 'infrafabric';
/** Contexts in one page: an estimate, with room below the largest message of the server. */
const PAGE_BYTES_MAX = 256 * 1024;

export class ApiServer {
  readonly #nc: NatsConnection;
  readonly #subjects: Subjects;
  readonly #guard: ReplyGuard;
  readonly #nodeSubscriptions: Subscription[] = [];
  readonly #shardSubscriptions = new Map<number, Subscription[]>();
  readonly #identity: { readonly id: string; readonly version: string };
  readonly #orders: ShardOrders;

  constructor(
    nc: NatsConnection,
    subjects: Subjects,
    nodeId: string,
    version: string,
    logger: Logger,
    orders: ShardOrders,
  ) {
    this.#orders = orders;
    this.#nc = nc;
    this.#subjects = subjects;
    this.#identity = { id: nodeId, version };
    this.#guard = new ReplyGuard(subjects.prefix, logger);
  }

  open(handlers: ApiHandlers): void {
    const { id } = this.#identity;
    const add = (verb: string, handle: (body: never) => unknown): void => {
      this.#nodeSubscriptions.push(this.#serve(this.#subjects.api(verb), handle));
    };
    add('status', () => handlers.status());
    add(`node.${id}.down`, () => {
      // The reply goes out before the connection closes.
      queueMicrotask(handlers.down);
      return {};
    });
    add('members', () => handlers.members());
    add(`node.${id}.drain`, async (request: DrainRequest) => {
      if (typeof request.on !== 'boolean') {
        throw new FabricError(nodeErrors.api_bad_request, '"on" is true or false');
      }
      await handlers.drain(request.on);
      return {};
    });
    this.#openDiscovery();
  }

  /** Another verb of the API, until the function that is given back is called. */
  serve(verb: string, handle: (body: never) => unknown): () => void {
    const subscription = this.#serve(this.#subjects.api(verb), handle);
    return () => subscription.unsubscribe();
  }

  addShard(shard: Shard): void {
    const at = (verb: string): string => this.#subjects.api(`shard.${shard.shard}.${verb}`);
    this.#shardSubscriptions.set(shard.shard, [
      this.#serve(at('list'), (request: ListRequest) => listActors(shard, request)),
      this.#serve(at('show'), (request: ShowRequest) => showActor(shard, request)),
      this.#serve(at('redact'), (request: RedactRequest) => this.#orders.redact(shard, request)),
      this.#serve(at('keyring'), (request: unknown) => this.#orders.keyring(shard, request)),
      this.#serve(at('alarm'), (found: unknown) => raiseBreak(shard, found)),
    ]);
  }

  removeShard(shard: number): void {
    for (const subscription of this.#shardSubscriptions.get(shard) ?? []) subscription.unsubscribe();
    this.#shardSubscriptions.delete(shard);
  }

  close(): void {
    for (const subscription of this.#nodeSubscriptions) subscription.unsubscribe();
    for (const shard of this.#shardSubscriptions.keys()) this.removeShard(shard);
  }

  #serve(subject: string, handle: (body: never) => unknown): Subscription {
    return this.#nc.subscribe(subject, {
      callback: (error, m) => {
        if (error === null && this.#guard.accepts(m)) void answer(m, handle);
      },
    });
  }

  /** ADR-32: discovery of services over `$SRV`. */
  #openDiscovery(): void {
    const { id, version } = this.#identity;
    const identity = { name: SERVICE_NAME, id, version, metadata: { prefix: this.#subjects.prefix } };
    const endpoints = ['status', 'members', 'config.get', 'config.apply'].map((verb) => ({
      name: verb.replaceAll('.', '-'),
      subject: this.#subjects.api(verb),
    }));
    const answers = {
      PING: { type: 'io.nats.micro.v1.ping_response', ...identity },
      INFO: {
        type: 'io.nats.micro.v1.info_response',
        ...identity,
        description: 'Admin API of a realm node',
        endpoints,
      },
    };
    for (const [verb, body] of Object.entries(answers)) {
      for (const scope of ['', `.${SERVICE_NAME}`, `.${SERVICE_NAME}.${id}`]) {
        const callback = (error: Error | null, m: Msg): void => {
          if (error === null && this.#guard.accepts(m)) respond(m, JSON.stringify(body));
        };
        this.#nodeSubscriptions.push(this.#nc.subscribe(`$SRV.${verb}${scope}`, { callback }));
      }
    }
  }
}

async function answer(m: Msg, handle: (body: never) => unknown): Promise<void> {
  try {
    const body: unknown = m.data.byteLength === 0 ? {} : parse(m);
    const reply = await handle(body as never);
    respond(m, JSON.stringify({ ok: true, ...(reply as object) }, plainBytes));
  } catch (thrown) {
    respond(m, JSON.stringify({ ok: false, error: toWireError(thrown) }));
  }
}

function parse(m: Msg): unknown {
  try {
    return m.json();
  } catch (cause) {
    throw new FabricError(nodeErrors.api_bad_request, `The body of ${m.subject} is no JSON`, { cause });
  }
}

function plainBytes(_key: string, value: unknown): unknown {
  return value instanceof Uint8Array ? { base64: Buffer.from(value).toString('base64') } : value;
}

async function listActors(shard: Shard, request: ListRequest): Promise<ListReply> {
  const limit = Math.min(Math.max(1, request.limit ?? LIST_LIMIT_DEFAULT), LIST_LIMIT_MAX);
  const { type, after } = request;
  const addresses: string[] = [];
  for (const [address] of shard.addresses()) {
    if (type !== undefined && !address.startsWith(`${type}/`)) continue;
    if (after === undefined || address > after) addresses.push(address);
  }
  addresses.sort();
  const page = addresses.slice(0, limit);
  const actors: ActorSummary[] = [];
  let bytes = 0;
  let last: string | undefined;
  for (const address of page) {
    const cell = await shard.look(address);
    last = address;
    if (cell === undefined) continue;
    const context = cell.state.context;
    actors.push({ ...summaryOf(cell), ...(request.context === true && { context }) });
    if (request.context === true) bytes += estimateBytes(context);
    if (bytes > PAGE_BYTES_MAX) break;
  }
  return { actors, ...(last !== undefined && last !== addresses.at(-1) && { next: last }) };
}

function summaryOf(cell: Cell): ActorSummary {
  return {
    address: cell.address,
    machine: cell.machine.ref,
    status: statusOf(cell),
    value: cell.state.value,
    ...(cell.parent !== undefined && { parent: cell.parent.address }),
  };
}

/** Makes the HIGH entry of a break in the log. */
async function raiseBreak(shard: Shard, body: unknown): Promise<{ readonly index: number }> {
  const parsed = logBreakSchema.safeParse(body);
  if (!parsed.success) {
    throw new FabricError(
      nodeErrors.api_bad_request,
      `The break is not valid: ${parsed.error.issues[0]?.message ?? ''}`,
    );
  }
  const outcome = await shard.admin({
    cause: { kind: 'admin', by: 'witness', id: parsed.data.id },
    actor: WITNESS_ACTOR,
    op: 'event',
    event: { type: 'witness.break', break: parsed.data },
    machine: WITNESS_MACHINE,
  });
  const error = outcome.ok ? outcome.entry.error : outcome.error;
  if (error !== undefined) throw fromWireError(error);
  return { index: outcome.ok ? outcome.index : 0 };
}

async function showActor(shard: Shard, request: ShowRequest): Promise<ShowReply> {
  const { address } = parseAddress(String(request.address));
  const cell = await shard.look(address);
  if (cell === undefined) {
    throw new FabricError(nodeErrors.actor_absent, `No actor lives at ${address}`, { details: { address } });
  }
  const { state } = cell;
  return {
    ...summaryOf(cell),
    context: state.context,
    ...(state.output !== undefined && { output: state.output }),
    ...((cell.failed ?? state.error) !== undefined && { error: cell.failed ?? state.error }),
    timers: [...(cell.timers?.values() ?? [])].map(({ id, dueAt, event }) => ({ id, dueAt, event })),
    effects: [...(cell.effects?.values() ?? [])].map(({ key, driver, input }) => ({ key, driver, input })),
    lastIndex: shard.status().index,
  };
}
