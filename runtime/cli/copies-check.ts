/** What `doctor` says of the copies of a realm's streams. */
import { type Copies, serversOfCopies } from '#runtime/bus/copies';
import { REPLICAS_CLUSTER } from '#runtime/bus/replicas';
import { EMBEDDED_NAME } from '#runtime/bus/server';
import type { Check } from './render/checks.ts';
import { plural } from './render/format.ts';

const RAISE = '`infrafabric cluster raise` gives every stream three copies, while the realm runs.';
const START = 'Start the servers that are away; `infrafabric cluster status` shows them.';

export function copiesCheck(copies: Copies): Check & { readonly copies: Copies } {
  return { name: 'copies', ...verdict(copies), copies };
}

/** Whether what is acknowledged survives a power cut, as far as it can be seen from here. */
export function durabilityCheck(relaxed: boolean, { streams, server }: Copies): Check {
  const name = 'durability';
  if (relaxed) {
    const todo = 'Set `durability: strict` for anything that matters.';
    return { name, state: 'warn', seen: 'relaxed', todo };
  }
  if (server === EMBEDDED_NAME) return { name, state: 'ok', seen: 'strict' };
  const fewest = Math.min(...streams.map(({ replicas = 1 }) => replicas));
  if (fewest >= REPLICAS_CLUSTER) {
    return { name, state: 'ok', seen: 'strict: most servers have what is acknowledged' };
  }
  return {
    name,
    state: 'warn',
    seen: `strict, but whether ${server} syncs before it acknowledges cannot be seen`,
    todo: 'Set `sync_interval: always` in the jetstream block of its config, or run a cluster of three.',
  };
}

function verdict(copies: Copies): Omit<Check, 'name'> {
  const { streams, cluster } = copies;
  const servers = serversOfCopies(copies);
  const leaderless = streams.filter(({ leader }) => leader === undefined).map(({ stream }) => stream);
  if (leaderless.length > 0) {
    return { state: 'fail', seen: `no server leads ${leaderless.join(', ')}: asks wait`, todo: START };
  }
  if (cluster === undefined) {
    return { state: 'ok', seen: `one, on the disk of ${copies.server}: losing that disk loses the realm` };
  }
  const fewest = Math.min(...streams.map(({ replicas = 1 }) => replicas));
  const known = `${plural(servers.length, 'server')}, ${plural(fewest, 'copy', 'copies')}`;
  const losing = servers.filter(({ wouldLose }) => wouldLose.length > 0);
  if (fewest < REPLICAS_CLUSTER) {
    const where = losing.map(({ server }) => server).join(' or ');
    return { state: 'warn', seen: `${known}: with ${where} what it stores would be lost`, todo: RAISE };
  }
  const away = servers.filter(({ isOffline }) => isOffline);
  const behind = servers.filter(({ behind: streamsBehind }) => streamsBehind.length > 0);
  if (away.length > 0 || behind.length > 0) {
    const weak = away.length > 0 ? away : behind;
    const how = away.length > 0 ? 'away' : 'behind or away';
    const next =
      losing.length > 0
        ? `losing ${losing.map(({ server }) => server).join(' or ')} now would lose acknowledged work`
        : 'nothing is lost, but the next to go stops the realm';
    const names = weak.map(({ server }) => server).join(', ');
    return { state: 'warn', seen: `${known}, ${names} ${how}: ${next}`, todo: START };
  }
  const log = streams[0]?.leader;
  return { state: 'ok', seen: `${known}, ${log} leads the log: any one may go, and nothing is lost` };
}
