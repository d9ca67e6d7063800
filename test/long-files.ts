/**
 * Files that `npm test` leaves for `TEST_ALL=1`: many processes each, for what tests of every run show at its core.
 * The reason says which.
 */
export const LONG_FILES: Readonly<Record<string, string>> = {
  'access/join': 'rights of nodes against a real server: access/attacks',
  'access/realm':
    'rights of all roles: access/attacks; a secure realm and its commands: coordinator/cli-secure',
  'coordinator/cli':
    'tasks and boards: coordinator/tasks, coordinator/board, coordinator/import/plan; in commands: coordinator/cli-secure',
  'coordinator/newcomer': 'the example and its commands: the README in docs/commands',
  'coordinator/phase0-processes':
    'claims, kills and fillers: coordinator/tasks, coordinator/realm, promises/crash',
  'coordinator/plain-nats':
    'a realm asked over plain NATS: the README in docs/commands; workers: coordinator/realm',
  'coordinator/secure': 'agents with their own keys: coordinator/cli-secure',
  'costs/cli': 'sums, prices and the meter: costs/book, costs/prices, costs/meter',
  'deploy/pack': 'packs and installs the package twice; what is packed is what every other test runs',
  'governor/cli': 'budgets and breakers: governor/ledger, governor/breaker',
  'governor/overshoot': 'no sum goes beyond its limit: governor/ledger, with crashes in promises/crash',
  'governor/policy-realm': 'policies: governor/policy, governor/policy-guard; on a node: governor/governed',
  'governor/registry-cli': 'who matches and who is refused: governor/registry, governor/governed',
  'index/cli': 'answers with and without an index: index/log-index',
  'keys/realm': 'registration, rotation and revocation: keys/keyring; files: keys/files',
  'members/processes':
    'shards of a node that died answer from another: promises/outage, members/host; moves: members/realm',
  'privacy/doors': 'what doors seal: privacy/redaction; garbage on them: promises/doors',
  'replay/replay': 'what a replay finds: replay/fold; the command: the README in docs/commands',
  'sim/bugs': 'that the simulator finds planted bugs; its schedules run in sim/simulator',
  'witness/cli':
    'what verify finds: witness/tamper, witness/bundle; the command: the README in docs/commands',
  'witness/go': 'our formats read by the packages of Go; by our own core: witness/tree, witness/tamper',
  'witness/service/scrubber': 'that each damage is told of: witness/tamper, witness/service/alarm',
};
