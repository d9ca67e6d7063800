/** The supervision tree of `ps`, and the flat list beside it. */
import type { ActorStatus, ActorSummary } from '#runtime/node/api';
import { compact, plural, stateValue } from './format.ts';
import type { Palette } from './palette.ts';
import { type Column, table } from './table.ts';

const STATE_WIDTH_MAX = 48;
const ORDER = new Intl.Collator('en', { numeric: true });

interface Place {
  readonly palette: Palette;
  readonly width: number;
}

const GLYPHS: Readonly<Record<ActorStatus, string>> = { active: '●', done: '✓', error: '✗', stopped: '○' };

/** A dot that says how an actor is; a word follows wherever colour alone would tell. */
export function statusGlyph(status: ActorStatus, palette: Palette): string {
  const paint = { active: palette.good, done: palette.faint, error: palette.bad, stopped: palette.faint }[
    status
  ];
  return paint(GLYPHS[status]);
}

export function statusWord(status: ActorStatus, palette: Palette): string {
  return status === 'error'
    ? palette.bad('failed')
    : status === 'active'
      ? palette.good(status)
      : palette.faint(status);
}

/**
 * Actors as a tree by their parents, `childrenMax` below each one. Actors without a parent that is listed come after
 * the supervisors, as roots of their own.
 */
export function actorTree(actors: readonly ActorSummary[], place: Place, childrenMax: number): string[] {
  const known = new Set(actors.map(({ address }) => address));
  const below = Map.groupBy(actors, ({ parent }) =>
    parent !== undefined && known.has(parent) ? parent : '',
  );
  const rows: string[][] = [];
  const seen = new Set<string>();
  const walk = (parent: string, indent: string): void => {
    const children = below.get(parent) ?? [];
    const sorted = [...children].sort(parent === '' ? rootOrder : byAddress);
    const shown = sorted.slice(0, childrenMax);
    const hidden = sorted.length - shown.length;
    for (const [index, actor] of shown.entries()) {
      if (seen.has(actor.address)) continue;
      seen.add(actor.address);
      const last = index === shown.length - 1 && hidden === 0;
      const branch = parent === '' ? '' : `${indent}${last ? '└─ ' : '├─ '}`;
      rows.push(actorRow(actor, place.palette, branch));
      walk(actor.address, parent === '' ? '' : `${indent}${last ? '   ' : '│  '}`);
    }
    if (hidden > 0) {
      const branch = parent === '' ? '' : `${indent}└─ `;
      rows.push([
        place.palette.faint(`${branch}… ${plural(hidden, 'more')}`.replace(/mores$/, 'more')),
        '',
        '',
        '',
      ]);
    }
  };
  walk('', '');
  return table(ACTOR_COLUMNS, rows, place);
}

/** Actors one a line, in the order given. */
export function actorList(actors: readonly ActorSummary[], place: Place): string[] {
  return table(
    ACTOR_COLUMNS,
    actors.map((actor) => actorRow(actor, place.palette, '')),
    place,
  );
}

/** What `ps` says when there is nobody. */
export function nobodyLines(type: string | undefined, palette: Palette): string[] {
  return type === undefined
    ? [
        'No actors yet.',
        palette.faint(
          'Add children to the config and run `infrafabric reload`, or send a first message to a kind with spawnOnMessage:',
        ),
        `  ${palette.name('infrafabric ask counter/k1 inc')}`,
      ]
    : [`No actors of type "${type}".`, palette.faint('`infrafabric ps --flat` lists all there are.')];
}

const ACTOR_COLUMNS: readonly Column[] = [
  { title: 'ACTOR' },
  { title: 'STATUS' },
  { title: 'STATE' },
  { title: 'MACHINE' },
];

function actorRow(actor: ActorSummary, palette: Palette, branch: string): string[] {
  const { address, machine, status, value } = actor;
  return [
    `${palette.faint(branch)}${statusGlyph(status, palette)} ${palette.name(address)}`,
    statusWord(status, palette),
    compact(stateValue(value), STATE_WIDTH_MAX),
    palette.faint(machine),
  ];
}

function rootOrder(a: ActorSummary, b: ActorSummary): number {
  const rank = ({ address }: ActorSummary): number => (address.startsWith('supervisor/') ? 0 : 1);
  return rank(a) - rank(b) || byAddress(a, b);
}

/** task/2 before task/10. */
function byAddress(a: ActorSummary, b: ActorSummary): number {
  return ORDER.compare(a.address, b.address);
}
