/** The live table of `up`: what lives, and how busy it is. */
import type { ActorSummary, NodeStatus } from '#runtime/node/api';
import { count, plural, span, stateValue } from './format.ts';
import type { Palette } from './palette.ts';
import { totals } from './status-line.ts';
import { type Column, table } from './table.ts';
import { statusGlyph } from './tree.ts';

export interface Overview {
  readonly status: NodeStatus;
  /** The first actors, sorted by address; fewer than there are where `more` > 0. */
  readonly actors: readonly ActorSummary[];
  readonly more: number;
  /** Entries per second since the last look. */
  readonly perSecond: number;
}

interface Place {
  readonly palette: Palette;
  readonly width: number;
  /** Lines that may be used. */
  readonly height: number;
}

const GROUPS: readonly Column[] = [
  { title: 'TYPE' },
  { title: 'ACTORS', align: 'right' },
  { title: 'STATES' },
];

/** The screen: a headline, actors by type and state where there are many, one line each where they fit. */
export function overviewLines(overview: Overview, now: number, place: Place): string[] {
  const { palette, width, height } = place;
  const { status, actors, more, perSecond } = overview;
  const all = totals(status);
  const mode =
    status.durability === 'relaxed' ? palette.warn('relaxed: may lose acknowledged work') : 'strict';
  const head = [
    `${palette.good('●')} ${palette.strong(status.realm)}  ${palette.faint(`up ${span(now - status.startedAt)} · ${mode}`)}`,
    palette.faint(
      [
        plural(all.actors, 'actor'),
        `${count(perSecond)} commits/s`,
        plural(all.timers, 'timer'),
        plural(all.effects, 'effect'),
        all.queued + all.behind === 0 ? 'nothing waits' : `${count(all.queued + all.behind)} waiting`,
      ].join(' · '),
    ),
    '',
  ];
  if (all.actors === 0) return [...head, 'No actors yet: a first message brings one to life.'];
  const room = Math.max(3, height - head.length - 1);
  const body =
    actors.length + more <= room
      ? actors.map((actor) => actorLine(actor, width, palette))
      : groupLines(actors, more, { palette, width }).slice(0, room);
  return [...head, ...body];
}

function actorLine({ address, status, value }: ActorSummary, width: number, palette: Palette): string {
  const state = stateValue(value);
  const room = Math.max(10, width - 36);
  const text = state.length > room ? `${state.slice(0, room - 1)}…` : state;
  return `${statusGlyph(status, palette)} ${palette.name(address.padEnd(32))}  ${text}`;
}

function groupLines(actors: readonly ActorSummary[], more: number, place: Omit<Place, 'height'>): string[] {
  const byType = Map.groupBy(actors, ({ address }) => address.slice(0, address.indexOf('/')));
  const rows = [...byType].map(([type, list]) => {
    const states = Map.groupBy(list, ({ value }) => stateValue(value));
    const text = [...states].map(([state, of]) => `${state} ${of.length}`).join('  ');
    return [place.palette.name(type), count(list.length), text];
  });
  const lines = table(GROUPS, rows, place);
  if (more > 0)
    lines.push(place.palette.faint(`… and ${plural(more, 'more actor')}; infrafabric ps --flat lists them`));
  return lines;
}
