/** A running realm over NATS: asks and sends through the client, questions through the admin API. */

import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { jetstreamManager } from '@nats-io/jetstream';
import { Kvm } from '@nats-io/kv';
import { readCopies } from '#runtime/bus/copies';
import { isForbidden } from '#runtime/bus/forbidden';
import { hostsOf } from '#runtime/bus/servers';
import { Subjects } from '#runtime/bus/subjects';
import { JETSTREAM_TIMEOUT_MS, tidyJetStream } from '#runtime/bus/tidy-jetstream';
import { clientErrors } from '#runtime/client/errors';
import { type Client, connect, fileSequences } from '#runtime/client/node';
import { type KeyEntry, type KeyRecord, KeyRegistry } from '#runtime/edge/keys';
import { natsKeyStore } from '#runtime/edge/nats-keys';
import { type SenderKeys, senderKeys } from '#runtime/edge/sender-keys';
import { type SigningKey, signingKey, signMessage } from '#runtime/edge/sign';
import { KeyringClient } from '#runtime/keys/client';
import { readSeedFile } from '#runtime/keys/key-file';
import { dataFolderOf, readKey, storedKeys } from '#runtime/keys/key-store';
import { publicRecord } from '#runtime/keys/order';
import {
  type ActorSummary,
  apiRequest,
  type ListReply,
  type MembersReply,
  nodeStatuses,
  type ShowReply,
} from '#runtime/node/api';
import { nodeErrors } from '#runtime/node/errors';
import type { LogReader } from '#runtime/witness/log-reader';
import { FabricError } from '#schemas/fabric-error';
import { NODE_TYPE, OPERATOR_TYPE } from '#schemas/keyring';
import type { Plan } from '#schemas/supervisor';
import { lastLetters, letterAt, retryLetter } from './dead-stream.ts';
import { cliErrors } from './errors.ts';
import { Refused } from './exit-codes.ts';
import type { Target } from './locate.ts';
import { readLog } from './log-stream.ts';
import { merge } from './merge.ts';
import type { AskOutcome, Realm } from './realm.ts';
import type { LogItem } from './render/log.ts';
import { streamsCheck } from './streams-check.ts';

/** A local server answers in milliseconds, or refuses; on a machine with far too much to do, it takes seconds. */
const CONNECT_TIMEOUT_MS = 10_000;
const LIST_PAGE = 500;
/** What a node has done cannot be awaited from outside, only looked at. */
const LOOK_EVERY_MS = 20;
/** A node hears of a key within milliseconds; one that does not must not stop a sender. */
const KEYS_KNOWN_TIMEOUT_MS = 5_000;
/** What never reached the realm, or came back garbled; anything else is the realm's own refusal. */
const LOCAL_CODES: ReadonlySet<string> = new Set([
  ...Object.keys(clientErrors),
  nodeErrors.realm_unreachable.code,
  nodeErrors.api_bad_reply.code,
]);

/** Throws `not_running` where the server cannot be reached. */
export async function openRealm(
  target: Target,
  env: Readonly<Record<string, string | undefined>> = process.env,
  /** For as long as the process lives: it connects again. */
  stays = false,
): Promise<Realm> {
  const subjects = new Subjects(target.prefix, 1);
  const keys = keyRing();
  const { owner, ...signOn } = await signOnOf(target);
  const sequences = sequencesOf(target);
  let client: Client;
  const keyOf = async (from: string): Promise<SigningKey> => {
    // Registered, or it could not have signed on.
    if (signOn.signOn !== undefined && from === `if://${owner}`) return signOn.signOn;
    try {
      const ring = await keys(client, target, located);
      return await ring.ensureSenderKey(from);
    } catch (thrown) {
      // Who may not read the keys of others has its own alone; whose that is, the realm knows.
      if (signOn.signOn === undefined || owner !== undefined || !isAlone(thrown)) throw thrown;
      return signOn.signOn;
    }
  };
  try {
    client = await connect({
      url: target.url,
      ...signOn,
      prefix: target.prefix,
      from: 'cli',
      ...(target.token !== undefined && { token: target.token }),
      ...(sequences !== undefined && { sequences: fileSequences(sequences) }),
      signer: async (message) => signMessage(message, await keyOf(message.from)),
      nats: {
        timeout: CONNECT_TIMEOUT_MS,
        name: 'infrafabric cli',
        reconnect: stays,
        maxReconnectAttempts: -1,
      },
    });
  } catch (cause) {
    throw new FabricError(
      cliErrors.not_running,
      `The server of the realm at ${hostsOf(target.url)} cannot be reached`,
      {
        cause,
      },
    );
  }
  const nc = client.connection;
  const statuses = () => nodeStatuses(nc, subjects.api('status'));
  const logEnd = async (): Promise<number> => {
    const { natsLogReader } = await import('#runtime/bus/nats-log-reader');
    return (await (await natsLogReader(nc, subjects)).range()).last;
  };
  const openLog = async (): Promise<LogReader> => {
    const { openWholeLog } = await import('#runtime/archive/open');
    return await openWholeLog(nc, subjects, env);
  };
  const shardCount = async (): Promise<number> => {
    if (client.shards !== undefined) return client.shards;
    const found = await statuses();
    const counts = found.map(
      ({ shardCount: count, shards }) => count ?? Math.max(0, ...shards.map((s) => s.shard + 1)),
    );
    return Math.max(1, ...counts);
  };
  const located = async (): Promise<Subjects> => new Subjects(target.prefix, await shardCount());

  const realm: Realm = {
    target,
    connection: nc,
    ...(owner !== undefined && { owner }),
    subjects,
    now: Date.now,
    statuses,
    shardCount,
    members: () => apiRequest<MembersReply>(nc, subjects.api('members')),

    drain: async (nodeId, on) => {
      await refusing(apiRequest(nc, subjects.api(`node.${nodeId}.drain`), { on }));
    },

    async *actors({ type }) {
      const count = await shardCount();
      const pages = Array.from({ length: count }, (_, shard) => listShard(shard, type));
      yield* merge(pages, (a, b) => (a.address < b.address ? -1 : 1));
    },

    show: async (address) => {
      const shard = (await located()).shardOf(address);
      return refusing(apiRequest<ShowReply>(nc, subjects.api(`shard.${shard}.show`), { address }));
    },

    applyConfig: (request) => refusing(apiRequest<Plan>(nc, subjects.api('config.apply'), request)),

    down: async (nodeId) => {
      await apiRequest(nc, subjects.api(`node.${nodeId}.down`));
    },

    async ask(address, event, { timeoutMs, id }): Promise<AskOutcome> {
      try {
        return {
          ok: true,
          ...(await client.ask(address, event, { timeoutMs, ...(id !== undefined && { id }) })),
        };
      } catch (error) {
        if (isLocal(error)) throw error;
        return { ok: false, error: (error as FabricError).toWire() };
      }
    },

    async send(address, event, id) {
      const { id: used, seq } = await client.send(address, event, id === undefined ? {} : { id });
      return { id: used, seq };
    },

    sendDraft: async (draft) => {
      await client.sendMessage(draft);
    },

    askDraft: (draft) => client.askMessage(draft),

    async handled(places) {
      const where = await located();
      const wanted = new Map<number, number>();
      for (const { address, seq } of places) {
        const shard = where.shardOf(address);
        wanted.set(shard, Math.max(seq, wanted.get(shard) ?? 0));
      }
      for (;;) {
        const shards = (await statuses()).flatMap((status) => status.shards);
        if ([...wanted].every(([shard, seq]) => shards.some((s) => s.shard === shard && s.consumed >= seq)))
          return;
        await pause(LOOK_EVERY_MS);
      }
    },

    openLog,
    logEnd,

    async *log(query, range) {
      yield* readLog(await openLog(), query, range);
    },

    async tail(query, limit) {
      const items: LogItem[] = [];
      const range = { limit, follow: false, signal: new AbortController().signal };
      for await (const item of realm.log(query, range)) items.push(item);
      return items;
    },

    letters: (limit) => lastLetters(nc, subjects, limit),
    letter: (seq) => letterAt(nc, subjects, seq),
    retry: (letter) => retryLetter(nc, subjects, letter),

    async drift() {
      return streamsCheck(nc, subjects, await shardCount());
    },

    copies: () => readCopies(nc, subjects),

    async clockSkewMs() {
      const { ts } = await (await jetstreamManager(nc)).streams.info(subjects.streams.log);
      // The server says in each answer when it gave it.
      return ts === undefined ? 0 : Date.now() - Date.parse(ts);
    },

    [Symbol.asyncDispose]: () => client.close(),
  };
  return realm;

  async function* listShard(shard: number, type: string | undefined): AsyncGenerator<ActorSummary> {
    let after: string | undefined;
    do {
      const page: ListReply = await refusing(
        apiRequest<ListReply>(nc, subjects.api(`shard.${shard}.list`), {
          limit: LIST_PAGE,
          ...(type !== undefined && { type }),
          ...(after !== undefined && { after }),
        }),
      );
      yield* page.actors;
      after = page.next;
    } while (after !== undefined);
  }
}

/** As whom: with the key that was named, else with one of an operator that lies here, else as the node itself. */
async function signOnOf({
  secure,
  nkey,
  ca,
  dataDir,
}: Target): Promise<{ signOn?: SigningKey; ca?: string; owner?: string }> {
  if (secure !== true) return {};
  const stored = dataDir === undefined ? [] : await storedKeys(dataDir);
  const named = nkey === undefined ? undefined : await readSeedFile(nkey);
  const key = named === undefined ? ownKey(nkey, stored, dataDir) : signingKey(named);
  const owner = stored.find((one) => one.key.kid === key.kid)?.owner;
  return {
    signOn: key,
    ...(owner !== undefined && { owner }),
    ...(ca !== undefined && { ca: await readFile(ca, 'utf8') }),
  };
}

function ownKey(
  named: string | undefined,
  stored: Awaited<ReturnType<typeof storedKeys>>,
  dataDir: string | undefined,
): SigningKey {
  for (const type of named === undefined ? [OPERATOR_TYPE, NODE_TYPE] : []) {
    const found = stored.find(({ owner }) => owner?.startsWith(`${type}/`) === true);
    if (found !== undefined) return found.key;
  }
  const place = named ?? dataDir ?? 'this folder';
  throw new FabricError(cliErrors.no_sign_on, `The realm asks for a key, and there is none in ${place}`);
}

/** Where the last numbers of senders lie: in the data folder, or where the key that was named has it. */
function sequencesOf({ dataDir, nkey }: Target): string | undefined {
  if (dataDir !== undefined) return join(dataDir, 'seq');
  if (nkey === undefined) return undefined;
  return join(dataFolderOf(nkey) ?? dirname(nkey), 'seq');
}

/** There are no keys but the one that signed on. */
function isAlone(thrown: unknown): boolean {
  const isElsewhere = thrown instanceof FabricError && thrown.code === cliErrors.no_key_folder.code;
  return isElsewhere || isForbidden(thrown);
}

/** The keys of local senders; opened with the first message that is signed. */
function keyRing(): (
  client: Client,
  target: Target,
  located: () => Promise<Subjects>,
) => Promise<SenderKeys> {
  let ring: Promise<SenderKeys> | undefined;
  return (client, target, located) => {
    ring ??= openKeys(client, target, located);
    return ring;
  };
}

async function openKeys(
  client: Client,
  target: Target,
  located: () => Promise<Subjects>,
): Promise<SenderKeys> {
  const { dataDir, prefix } = target;
  if (dataDir === undefined) {
    throw new FabricError(cliErrors.no_key_folder, 'There is no data folder to keep the keys of senders in');
  }
  const bucket = await new Kvm(tidyJetStream(client.connection, { timeout: JETSTREAM_TIMEOUT_MS })).open(
    new Subjects(prefix, 1).buckets.keys,
  );
  const registry = await KeyRegistry.open(natsKeyStore(bucket));
  const add = async (entry: KeyEntry, now: number, key: SigningKey): Promise<KeyRecord> => {
    const isNew = registry.keyOf(entry.kid) === undefined;
    if (isNew) await registerInLog(key, entry.owner, client, { ...target, dataDir }, await located());
    // Where only the realm's key may, and is not here, the registry alone learns of it.
    const record = await registry.add(entry, now);
    if (isNew) await knownToNodes(client, prefix, registry.list().length);
    return record;
  };
  return senderKeys({ dataFolder: dataDir, registry: { add }, now: Date.now });
}

/** Makes the key of a sender an entry of the log, where the key of the realm is at hand to say so. */
async function registerInLog(
  key: SigningKey,
  owner: string,
  client: Client,
  { dataDir, realm }: Target & { readonly dataDir: string },
  subjects: Subjects,
): Promise<void> {
  if (realm === undefined || (await readKey(dataDir, `realm/${realm}`)) === undefined) return;
  const ring = new KeyringClient({ nc: client.connection, subjects, realm, dataDir });
  if ((await ring.read())?.keys[key.kid] !== undefined) return;
  await ring.order({ op: 'register', key: publicRecord(key, owner) }, await ring.authority(), [key]);
}

/** A message signed with a key that a node has not heard of yet would be refused. */
async function knownToNodes(client: Client, prefix: string, keys: number): Promise<void> {
  const status = new Subjects(prefix, 1).api('status');
  for (const deadline = Date.now() + KEYS_KNOWN_TIMEOUT_MS; Date.now() < deadline; ) {
    const nodes = await nodeStatuses(client.connection, status);
    if (nodes.every((node) => (node.keys ?? keys) >= keys)) return;
    await pause(LOOK_EVERY_MS);
  }
}

/** A refusal of the realm ends with an exit code of its own; what never reached the realm does not. */
async function refusing<T>(reply: Promise<T>): Promise<T> {
  try {
    return await reply;
  } catch (error) {
    throw isLocal(error) ? error : new Refused(error);
  }
}

function isLocal(error: unknown): boolean {
  return !(error instanceof FabricError) || LOCAL_CODES.has(error.code);
}
