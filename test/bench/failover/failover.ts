/**
 * What asks wait through the end of a node, of the server that leads the log, and through a planned restart of that one.
 * The gap is the longest that any ask waited. Beside it, in the same run: how long the leader of the log was away, and how
 * long a bare publisher on a stream of its own was refused, which its own election decides.
 */
import { writeFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { stepDown } from '#runtime/bus/cluster-admin';
import { chainViolations } from '../../rig/chain.ts';
import type { BenchNode } from '../nodes.ts';
import { median, type Row, rounded, row } from '../row.ts';
import type { Suite } from '../suite.ts';
import type { Asked } from './asking.ts';
import type { Silence } from './beat.ts';
import { openSite, type Site } from './site.ts';
import { type Panel, timelineSvg } from './timeline.ts';

const ROUNDS_MAX = 3;
/** Calm before and after what happens. */
const CALM_MS = 2_000;
/** Of the picture. */
const SHOWN_MS = 12_000;

/** What happens once, at a moment that is known, and how it is mended. */
interface Strike {
  readonly begin: () => Promise<unknown>;
  readonly mend: () => Promise<unknown>;
}

interface Scenario {
  readonly bench: string;
  readonly aim: (site: Site) => Promise<Strike>;
}

const SCENARIOS: readonly Scenario[] = [
  {
    bench: 'kill -9 of a node',
    async aim({ nodes }) {
      const places = await nodes.placed();
      const shardsOf = ({ name }: BenchNode): number => places.get(name)?.length ?? 0;
      const [busiest] = nodes.nodes.toSorted((a, b) => shardsOf(b) - shardsOf(a));
      if (busiest === undefined) throw new Error('no node runs');
      return { begin: () => nodes.kill(busiest), mend: () => nodes.add(busiest.name) };
    },
  },
  {
    bench: 'kill -9 of the stream leader',
    async aim(site) {
      const server = await site.oneLeader();
      const begin = (): Promise<void> => {
        server.signal('SIGKILL');
        return server.ended();
      };
      return { begin, mend: () => server.start() };
    },
  },
  {
    bench: 'planned restart of the stream leader',
    async aim(site) {
      const server = await site.oneLeader();
      const begin = async (): Promise<void> => {
        await stepDown(site.nc, site.subjects, server.name);
        await server.stop();
      };
      return { begin, mend: () => server.start() };
    },
  },
];

export const failover: Suite = {
  benches: SCENARIOS.map(({ bench }) => bench),
  async *run(wanted, { rounds, profileDir, picture }) {
    await using site = await openSite(profileDir);
    const panels: Panel[] = [];
    for (const { bench, aim } of SCENARIOS) {
      if (!wanted(bench)) continue;
      const seen: Seen[] = [];
      for (let n = 0; n < Math.min(rounds, ROUNDS_MAX); n += 1) seen.push(await once(site, aim));
      const [first] = seen;
      if (first !== undefined) panels.push({ title: bench, ...first });
      yield rowOf(bench, seen);
    }
    await site.asking.end();
    const wrong = [...site.asking.wrong, ...(await chainViolations(site.nc))];
    if (wrong.length > 0) throw new Error(`what was acknowledged is not so: ${wrong.join('; ')}`);
    yield row('asks acknowledged; lost, doubled or failed', {
      acknowledged: site.asking.asked.length,
      wrong: wrong.length,
    });
    if (picture !== undefined)
      writeFileSync(picture, timelineSvg(panels, { calmMs: CALM_MS, shownMs: SHOWN_MS }));
  },
};

/** One time that it happened; moments as `performance.now` tells them. */
interface Seen {
  readonly at: number;
  readonly asked: readonly Asked[];
  readonly leader: Silence;
  readonly bare: Silence;
  readonly calmP50Ms: number;
}

async function once(site: Site, aim: Scenario['aim']): Promise<Seen> {
  const { begin, mend } = await aim(site);
  const calmFrom = performance.now();
  await pause(CALM_MS);
  const at = performance.now();
  await begin();
  await site.asking.answeredSince(performance.now());
  await pause(CALM_MS);
  const to = performance.now();
  const seen = {
    at,
    asked: site.asking.during(calmFrom, to),
    leader: site.leader.silence(at, to),
    bare: site.bare.silence(at, to),
    calmP50Ms: median(site.asking.during(calmFrom, at).map(lengthOf)),
  };
  await mend();
  await site.whole();
  return seen;
}

function rowOf(bench: string, seen: readonly Seen[]): Row {
  const gaps = seen.map(({ asked, at }) => Math.max(...asked.filter(({ to }) => to >= at).map(lengthOf)));
  const leaders = seen.map(({ leader }) => lengthOf(leader));
  // Who waited when the leader was back, and how much longer.
  const after = seen.map(({ asked, leader }) =>
    Math.max(
      0,
      ...asked.filter(({ from, to }) => from <= leader.to && to >= leader.to).map(({ to }) => to - leader.to),
    ),
  );
  return row(bench, {
    p50Ms: rounded(median(seen.map(({ calmP50Ms }) => calmP50Ms)), 2),
    times: seen.length,
    gapMs: rounded(median(gaps), 0),
    gapMsMax: rounded(Math.max(...gaps), 0),
    leaderAwayMs: rounded(median(leaders), 0),
    leaderAwayMsMax: rounded(Math.max(...leaders), 0),
    afterLeaderMsMax: rounded(Math.max(...after), 0),
    barePublisherMs: rounded(median(seen.map(({ bare }) => lengthOf(bare))), 0),
  });
}

function lengthOf({ from, to }: { readonly from: number; readonly to: number }): number {
  return to - from;
}
