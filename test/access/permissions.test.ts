import test from 'ava';
import fc from 'fast-check';
import { auditServices, permissionsOf } from '#runtime/access/permissions';
import { reachOf, usersOf } from '#runtime/access/users';
import { Subjects } from '#runtime/bus/subjects';
import { newSeed, signingKey } from '#runtime/edge/sign';
import { ACCESS_ROLES, accessRoleOf, accessSchema } from '#schemas/access';

const subjects = new Subjects('if', 4);
const KIDS = ['kid-a', 'kid-b'] as const;
const NONE = { asks: [], sends: [], watches: [] };

/** Whether a pattern takes in a subject or all that another pattern takes in. */
function covers(pattern: string, subject: string): boolean {
  const [have, want] = [pattern.split('.'), subject.split('.')];
  for (const [n, token] of have.entries()) {
    if (token === '>') return want.length > n;
    if (want[n] === undefined || (token !== '*' && token !== want[n])) return false;
  }
  return have.length === want.length;
}

test('no role may publish or hear everything, and none but nodes writes under another’s inbox', (t) => {
  for (const role of ACCESS_ROLES) {
    const { publish, subscribe } = permissionsOf(role, { kid: KIDS[0], owner: `${role}/x` }, NONE, subjects);
    for (const pattern of [...publish, ...subscribe]) t.false(/^[*>]/.test(pattern), `${role} ${pattern}`);
    t.false(
      subscribe.some((pattern) => covers(pattern, `_INBOX.${KIDS[1]}.x`)),
      role,
    );
    t.true(
      subscribe.some((pattern) => covers(pattern, `_INBOX.${KIDS[0]}.x`)),
      role,
    );
    t.is(
      publish.some((pattern) => covers(pattern, `_INBOX.${KIDS[1]}.x`)),
      role === 'node',
      role,
    );
  }
});

test('agents and tools reach what their rules name, and nothing of the storage, for any rules', (t) => {
  const type = fc.stringMatching(/^[a-z][a-z0-9-]{0,6}$/);
  const id = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._@+=~:-]{0,8}$/);
  const place = fc.oneof(
    type,
    fc.tuple(type, id).map((parts) => parts.join('/')),
  );
  const reach = fc.record({ asks: fc.array(place), sends: fc.array(place), watches: fc.array(place) });
  fc.assert(
    fc.property(
      reach,
      fc.constantFrom('agent' as const, 'tool' as const),
      type,
      id,
      (given, role, kind, one) => {
        const { account, publish } = permissionsOf(role, { kid: 'k', owner: 'agent/a' }, given, subjects);
        t.is(account, 'outside');
        for (const pattern of publish) t.regex(pattern, /^if\.(?:ask|asks|in|lease|api\.status)(?:\.|$)/);
        const may = (list: readonly string[]): boolean =>
          list.includes(kind) || list.includes(`${kind}/${one}`);
        const can = (subject: string): boolean => publish.some((pattern) => covers(pattern, subject));
        t.is(can(subjects.ask(`${kind}/${one}`)), may(given.asks));
        t.is(can(subjects.askShard(`${kind}/${one}`)), may(given.asks));
        t.is(can(subjects.askBatch(1, kind)), given.asks.includes(kind));
        t.is(can(subjects.in(`${kind}/${one}`)), role === 'agent' && may(given.sends));
        const isOwn = kind === 'agent' && one === 'a';
        t.is(can(subjects.lease(`${kind}/${one}`)), role === 'agent' && (isOwn || may(given.asks)));
      },
    ),
  );
});

test('only nodes write the log, mail, claims and events', (t) => {
  const writes = [
    'if.log.0',
    'if.mail.0.1',
    '$KV.if_claims.shard.0',
    '$KV.if_leases.task.t1',
    'if.ev.counter.k1.done',
  ];
  for (const role of ACCESS_ROLES) {
    const { publish } = permissionsOf(role, { kid: 'k', owner: `${role}/x` }, NONE, subjects);
    for (const subject of writes) {
      t.is(
        publish.some((pattern) => covers(pattern, subject)),
        role === 'node',
        `${role} ${subject}`,
      );
    }
  }
});

test('an auditor may look, and may tell JetStream nothing', (t) => {
  for (const service of auditServices(subjects)) {
    t.regex(service, /^(?:if\.api\.|\$JS\.API\.(?:INFO|STREAM\.(?:INFO|NAMES|MSG\.GET)|DIRECT\.GET))/);
    t.false(service.includes('_privacy'), service);
  }
});

test('the type of an owner gives the role, and the nearest rule the reach', (t) => {
  t.deepEqual(
    ['node/a', 'operator/b', 'auditor/c', 'tool/d', 'agent/e', 'session/f', 'realm/g', 'guardian/h'].map(
      accessRoleOf,
    ),
    ['node', 'operator', 'auditor', 'tool', 'agent', 'agent', undefined, undefined],
  );
  const rules = accessSchema.parse({
    'agent/alice': { asks: ['counter/k1'] },
    'agent/*': { asks: ['task'], sends: [] },
    '*': { watches: ['task'] },
  });
  const grants = { rules, kinds: ['counter', 'task'] };
  t.deepEqual(reachOf('agent/alice', 'agent', grants), {
    asks: ['counter/k1'],
    sends: ['counter/k1'],
    watches: [],
  });
  t.deepEqual(reachOf('agent/bob', 'agent', grants), { asks: ['task'], sends: [], watches: [] });
  t.deepEqual(reachOf('session/x', 'agent', grants), {
    asks: ['counter', 'task'],
    sends: ['counter', 'task'],
    watches: ['task'],
  });
  t.deepEqual(reachOf('tool/x', 'tool', grants).sends, []);
  for (const bad of [
    { alice: {} },
    { 'agent/>': {} },
    { 'agent/a': { asks: ['>'] } },
    { '*': { asks: ['a.b'] } },
  ]) {
    t.false(accessSchema.safeParse(bad).success, JSON.stringify(bad));
  }
});

test('a key is one user, however many owners claim it, and a realm’s key none', (t) => {
  const { publicKey } = signingKey(newSeed());
  const other = signingKey(newSeed());
  const users = usersOf(
    [
      { owner: 'agent/a', publicKey },
      { owner: 'node/b', publicKey },
      { owner: 'realm/r', publicKey: other.publicKey },
    ],
    { rules: {}, kinds: [], subjects },
  );
  t.deepEqual(
    users.map(({ owner, role }) => [owner, role]),
    [['agent/a', 'agent']],
  );
});
