/**
 * Whose keys count in the realm, and since when. Signatures are checked where an order comes in, whether it may be given
 * is decided here: both can be checked again from the entry, which holds the order and its signatures.
 *
 * R1  Only an active key of the realm or of an operator registers and revokes; only the realm's takes in and ends
 *     operators. The realm's own key is rotated, never revoked.
 * R2  A rotation is signed with the key that goes and with the one that comes, and stays with the owner.
 * R3  A key that was rotated or revoked never counts again, and no kid names two keys.
 * R4  Orders are numbered, and name realm and ring: none is taken twice, elsewhere, or on a state that its signer did
 *     not know.
 */
import { assign, log, setup } from 'xstate';
import { errorKinds, FabricError } from '#schemas/fabric-error';
import {
  KEYRING_DRIVER,
  type KeyringContext,
  type KeyringEvent,
  type KeyringOrder,
  type PublicKeyRecord,
  type RegistryUpdate,
  RING_KEYS_MAX,
  type RingKey,
  roleOf,
} from '#schemas/keyring';
import { effect, effectInput, kernelActions, moment } from '#schemas/machine-kit';

export const keyringErrors = errorKinds({
  keyring_unauthorised: {
    retryable: false,
    help: 'Keys are registered and revoked with the key of the realm or of an operator, operators with that of the realm, and rotated by their owner: see docs/keys.md.',
  },
  keyring_unproven: {
    retryable: false,
    help: 'Sign a rotation with the key that goes and with the one that comes.',
  },
  keyring_moved: {
    retryable: true,
    help: 'Another order came first: look at the keyring again, and sign anew.',
  },
  keyring_foreign: { retryable: false, help: 'The order was signed for another realm: sign one for this.' },
  keyring_known_key: {
    retryable: false,
    help: 'A key is registered once, for one owner, and never again after it was rotated or revoked: make a new one.',
  },
  keyring_unknown_key: {
    retryable: false,
    help: '`infrafabric keys list` shows the keys of the realm, by owner and kid.',
  },
  keyring_ended_key: { retryable: false, help: 'The key was rotated or revoked already; that is for ever.' },
  keyring_realm_key: {
    retryable: false,
    help: 'A realm without a key of its own could sign nothing: rotate it with `infrafabric keys rotate realm`.',
  },
  keyring_from_future: { retryable: false, help: 'Give a time in the past: a key is revoked at once.' },
  keyring_full: {
    retryable: false,
    help: 'A realm knows 10,000 keys, old ones included: let senders of one owner share a key.',
  },
});

/** The registry is written until it is: a revoked key that the gate still takes is no small thing. */
const RETRY = { attempts: 1_000, firstDelayMs: 100, maxDelayMs: 10_000 };

type Keys = Record<string, RingKey>;

const kit = setup({
  types: {} as { context: KeyringContext; events: KeyringEvent },
  actions: {
    ...kernelActions,
    [KEYRING_DRIVER]: effect<RegistryUpdate>(),
    take: assign(({ context, event, system }) => {
      const { at, from } = moment(system);
      // Orders come in by the door that checks signatures; any actor could mail one.
      if (from !== undefined)
        throw refusal('keyring_unauthorised', `${from} may not give orders to the keyring`);
      return next(context, event, at);
    }),
  },
  guards: { revokes: ({ event }) => event.order.op === 'revoke' },
});

interface Args {
  readonly context: KeyringContext;
  readonly event: KeyringEvent;
}

const answer = { type: 'reply', params: ({ context }: Args) => ({ seq: context.seq }) } as const;
const project = {
  type: KEYRING_DRIVER,
  params: ({ context, event }: Args) => effectInput(updateOf(context, event.order), { retry: RETRY }),
} as const;
const remarkOf = ({ event }: Args): object => remark(event.order);

const machine = kit.createMachine({
  id: 'keyring',
  version: '1',
  context: { realm: null, ring: null, seq: 0, keys: {} },
  on: {
    'keyring.order': [
      { guard: 'revokes', actions: ['take', log(remarkOf, 'WARN'), answer, project] },
      { actions: ['take', log(remarkOf), answer, project] },
    ],
  },
});

export const keyring = { name: 'keyring', version: 1, machine };

/** The keyring after an order. Throws what it is refused with. */
function next(context: KeyringContext, { order, signatures }: KeyringEvent, at: number): KeyringContext {
  const signers = signatures.map(({ kid }) => kid);
  if (!signers.includes(order.by))
    throw refusal('keyring_unauthorised', 'The order is not signed by who gives it');
  if (order.op === 'found') return founded(context, order, signers, at);
  // R4
  if (context.ring === null) throw refusal('keyring_moved', 'The keyring is not founded yet');
  if (order.realm !== context.realm || order.ring !== context.ring) {
    throw refusal('keyring_foreign', `The order is for a keyring of ${order.realm}, not for this`);
  }
  if (order.seq !== context.seq + 1) {
    throw refusal('keyring_moved', `The keyring is at order ${context.seq}, not at ${order.seq - 1}`);
  }
  const by = context.keys[order.by];
  if (by?.status !== 'active')
    throw refusal('keyring_unauthorised', `${order.by} is no active key of the realm`);
  const keys: Keys = { ...context.keys };
  switch (order.op) {
    case 'register':
      register(keys, order, by, signers, at);
      break;
    case 'rotate':
      rotate(keys, { order, signatures }, by, signers, at);
      break;
    case 'revoke':
      revoke(keys, order, by, at);
      break;
  }
  return { ...context, seq: order.seq, keys };
}

type OrderOf<Op> = Extract<KeyringOrder, { op: Op }>;

function founded(
  context: KeyringContext,
  order: OrderOf<'found'>,
  signers: readonly string[],
  at: number,
): KeyringContext {
  if (context.ring !== null || order.seq !== 1)
    throw refusal('keyring_moved', 'The keyring is founded already');
  const [own, ...others] = order.keys;
  if (own?.kid !== order.by || order.ring !== own.kid || own.owner !== `realm/${order.realm}`) {
    throw refusal('keyring_unauthorised', 'A keyring is founded with the key of its realm');
  }
  if (others.some(({ owner, kid }) => roleOf(owner) !== 'node' || !signers.includes(kid))) {
    throw refusal('keyring_unproven', 'Only nodes join in the founding, each with its signature');
  }
  const keys: Keys = {};
  for (const key of order.keys) add(keys, key, { since: at, by: order.by, proven: true });
  return { realm: order.realm, ring: own.kid, seq: 1, keys };
}

/** R1 */
function register(
  keys: Keys,
  { key }: OrderOf<'register'>,
  by: RingKey,
  signers: readonly string[],
  at: number,
): void {
  const role = roleOf(key.owner);
  if (role === 'realm') throw refusal('keyring_realm_key', 'A realm has one key, which is rotated');
  authorise(by, role, `register a key of ${key.owner}`);
  add(keys, key, { since: at, by: by.kid, proven: signers.includes(key.kid) });
}

/** R2 */
function rotate(
  keys: Keys,
  { order, signatures }: SignedOrderOf<'rotate'>,
  by: RingKey,
  signers: readonly string[],
  at: number,
): void {
  const { key } = order;
  if (!signers.includes(key.kid)) throw refusal('keyring_unproven', 'The new key did not sign its rotation');
  if (key.owner !== by.owner) {
    throw refusal('keyring_unauthorised', `A key of ${by.owner} cannot become one of ${key.owner}`);
  }
  const evidence = by.role === 'realm' ? { order: { order, signatures } } : {};
  add(keys, key, { since: at, by: by.kid, proven: true, ...evidence });
  keys[by.kid] = { ...by, status: 'rotated', until: at, endedBy: by.kid, successor: key.kid };
}

interface SignedOrderOf<Op> {
  readonly order: OrderOf<Op>;
  readonly signatures: KeyringEvent['signatures'];
}

/** R1, R3 */
function revoke(keys: Keys, { kid, reason, from }: OrderOf<'revoke'>, by: RingKey, at: number): void {
  const key = keys[kid];
  if (key === undefined) throw refusal('keyring_unknown_key', `The realm has no key ${kid}`);
  if (key.status === 'revoked')
    throw refusal('keyring_ended_key', `${kid} of ${key.owner} is revoked already`);
  if (key.role === 'realm' && key.status === 'active') {
    throw refusal('keyring_realm_key', 'The key of the realm is rotated, not revoked');
  }
  authorise(by, key.role, `revoke a key of ${key.owner}`);
  if (from > at) throw refusal('keyring_from_future', 'A key cannot be revoked from a time to come');
  keys[kid] = {
    ...key,
    status: 'revoked',
    until: key.until ?? at,
    distrustedFrom: from,
    reason,
    endedBy: by.kid,
  };
}

function authorise(by: RingKey, role: RingKey['role'], what: string): void {
  const isAllowed =
    by.role === 'realm' || (by.role === 'operator' && role !== 'operator' && role !== 'realm');
  if (!isAllowed) throw refusal('keyring_unauthorised', `A key of ${by.owner} may not ${what}`);
}

/** R3 */
function add(
  keys: Keys,
  key: PublicKeyRecord,
  rest: Pick<RingKey, 'since' | 'by' | 'proven'> & Pick<Partial<RingKey>, 'order'>,
): void {
  const present = keys[key.kid];
  if (present !== undefined) {
    throw refusal('keyring_known_key', `${key.kid} is a key of ${present.owner} already, ${present.status}`);
  }
  if (Object.keys(keys).length >= RING_KEYS_MAX) {
    throw refusal('keyring_full', `The realm knows ${RING_KEYS_MAX} keys already`);
  }
  keys[key.kid] = { ...key, role: roleOf(key.owner), status: 'active', ...rest };
}

/** The records that an order changed, as they are now. */
function updateOf({ keys }: KeyringContext, order: KeyringOrder): RegistryUpdate {
  return {
    keys: changedBy(order).flatMap((kid) => {
      const found = keys[kid];
      if (found === undefined) return [];
      const { owner, publicKey, since, until } = found;
      return [{ kid, owner, publicKey, since, ...(until !== undefined && { until }) }];
    }),
  };
}

function changedBy(order: KeyringOrder): readonly string[] {
  switch (order.op) {
    case 'found':
      return order.keys.map(({ kid }) => kid);
    case 'register':
      return [order.key.kid];
    case 'rotate':
      return [order.key.kid, order.by];
    case 'revoke':
      return [order.kid];
  }
}

function remark(order: KeyringOrder): object {
  switch (order.op) {
    case 'found':
      return { key: 'founded', kid: order.by, owners: order.keys.map(({ owner }) => owner) };
    case 'register':
      return { key: 'registered', kid: order.key.kid, owner: order.key.owner, by: order.by };
    case 'rotate':
      return { key: 'rotated', kid: order.key.kid, owner: order.key.owner, by: order.by };
    case 'revoke':
      return { key: 'revoked', kid: order.kid, reason: order.reason, from: order.from, by: order.by };
  }
}

function refusal(code: keyof typeof keyringErrors, message: string): FabricError {
  return new FabricError(keyringErrors[code], message);
}
