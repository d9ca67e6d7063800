/** Replays for people: steps with what they changed, the place where histories part, and the sum of it all. */
import { type Change, changesOf } from '#runtime/replay/difference';
import type {
  ActorView,
  Divergence,
  Made,
  Parting,
  Refusal,
  ReplayStep,
  ReplaySummary,
} from '#runtime/replay/report';
import { clock, compact, count, pace, plural } from './format.ts';
import { eventName } from './log.ts';
import type { Palette } from './palette.ts';

const VALUE_WIDTH = 100;
const PARTINGS_SHOWN = 20;

export interface Place {
  readonly palette: Palette;
  readonly now: number;
}

/** One step: what happened to whom, and each leaf of its state that changed. */
export function stepLines(step: ReplayStep, { palette, now }: Place): string[] {
  const { faint, name, strong } = palette;
  const { shard, index, n, seq, at, entry, before, after } = step;
  const where = `${shard}.${index}${n === 0 ? '' : `+${n}`}`;
  const head = `${faint(clock(at, now))}  ${faint(`${where} (sequence ${seq})`)}  ${name(entry.actor)}  ${strong(eventName(entry))}`;
  const lines = [head];
  if (entry.event !== undefined) lines.push(faint(`    event   ${compact(entry.event, VALUE_WIDTH)}`));
  const changes = changesOf(stateOf(before), stateOf(after));
  if (before === undefined && after !== undefined) lines.push(...stateLines('begins', after, palette.good));
  else if (changes.length === 0) lines.push(faint('    no change'));
  else lines.push(...changes.map((change) => `    ${changeLine(change, palette)}`));
  if (entry.reply !== undefined) lines.push(`    reply   ${compact(entry.reply, VALUE_WIDTH)}`);
  if (entry.error !== undefined) lines.push(palette.bad(`    ${entry.error.code}  ${entry.error.message}`));
  return lines;
}

export function divergenceLines(found: Divergence, { palette, now }: Place): string[] {
  const { bad, name, faint, strong } = palette;
  const { shard, index, n, seq, at, actor, machine, event, isExact, suspects, recorded, replayed } = found;
  const { before, after } = found;
  const lines = [
    bad('✗ ') +
      strong(
        `The machines of now part from the log at commit ${index} of shard ${shard}, entry ${n} (sequence ${seq})`,
      ),
    `  ${faint(clock(at, now))}  ${name(actor)}  ${machine ?? ''}  ${faint(compact(event, VALUE_WIDTH))}`,
  ];
  if (isExact) {
    lines.push(...changesOf(recorded, replayed).map((change) => `    ${changeLine(change, palette)}`));
  } else {
    const whose = suspects.length === 1 ? suspects[0] : `one of ${suspects.slice(0, 8).join(', ')}`;
    lines.push(
      `    Value, reply, errors, mail, effects and timers agree; the recorded digest says that the context of ${whose} was another.`,
    );
  }
  lines.push(
    `    recorded  ${compact(recorded, VALUE_WIDTH)}`,
    `    replayed  ${compact(replayed, VALUE_WIDTH)}`,
  );
  if (before !== undefined) lines.push(...stateLines('before', before, faint));
  if (after !== undefined) lines.push(...stateLines('now', after, palette.good));
  lines.push(
    faint(
      '  Was a machine changed without a new version? A machine that changes needs one, with a migration.',
    ),
  );
  return lines;
}

export function partingLines(
  { shard, index, n, seq, actor, event, was, wouldBe }: Parting,
  { palette }: Place,
): string[] {
  const { name, faint } = palette;
  return [
    `${name(actor)}  ${faint(`commit ${shard}.${index}${n === 0 ? '' : `+${n}`} (sequence ${seq})`)}  ${compact(event, VALUE_WIDTH)}`,
    ...changesOf(comparable(was), comparable(wouldBe)).map((change) => `    ${changeLine(change, palette)}`),
  ];
}

export function summaryLines(
  { from, commits, entries, actors, digests, divergence, partings, parted, compared, refused }: ReplaySummary,
  { tookMs, isWhatIf }: { readonly tookMs: number; readonly isWhatIf: boolean },
  place: Place,
): string[] {
  const { good, warn, faint, strong } = place.palette;
  const told = refusalLines(refused, place.palette);
  if (commits === 0 && from === 1) return ['The log is empty: there is nothing to replay.', ...told];
  const done = `${plural(entries, 'entry', 'entries')} of ${plural(commits, 'commit')}, ${plural(actors, 'actor')}`;
  const time = faint(`  ${pace(entries, tookMs, ' entries')}`);
  if (divergence !== undefined)
    return [...divergenceLines(divergence, place), faint(`  after ${done}`), time, ...told];
  const since =
    from === 1 ? [] : [faint(`  from the snapshots before sequence ${from} on; they are believed`)];
  if (!isWhatIf) {
    const verdict = good('✓ ') + strong(`${done}: all ${count(digests)} state digests are equal`);
    return [verdict, ...since, time, ...told];
  }
  const verdict =
    parted === 0
      ? good('✓ ') + strong(`${plural(compared, 'actor')} would have the same history`)
      : warn('! ') + strong(`${count(parted)} of ${plural(compared, 'actor')} would have another history`);
  const shown = partings.slice(0, PARTINGS_SHOWN).flatMap((parting) => partingLines(parting, place));
  const more = parted > PARTINGS_SHOWN ? [faint(`… and ${count(parted - PARTINGS_SHOWN)} more`)] : [];
  return [...shown, ...more, verdict, faint(`  ${done}`), ...since, time, ...told];
}

function refusalLines(refused: readonly Refusal[], { warn, faint }: Palette): string[] {
  if (refused.length === 0) return [];
  return [
    `${warn('!')} A machine is not pure: it tried what a replay does not allow`,
    ...refused.map(({ permission, resource, count: times }) =>
      faint(`    ${permission} ${resource}${times === 1 ? '' : ` (${count(times)} times)`}`),
    ),
  ];
}

function stateLines(title: string, state: ActorView, paint: Palette['good']): string[] {
  return [
    paint(`    ${title.padEnd(8)}${state.machine} ${state.status} ${compact(state.value, VALUE_WIDTH)}`),
    paint(`            ${compact(state.context, VALUE_WIDTH)}`),
  ];
}

function stateOf(view: ActorView | undefined): unknown {
  if (view === undefined) return undefined;
  const { status, value, context, machine } = view;
  return { status, value, context, machine };
}

function comparable({ after, ...made }: Made): unknown {
  return { ...made, state: stateOf(after) };
}

function changeLine({ path, was, is }: Change, { bad, good, faint }: Palette): string {
  const before = was === undefined ? faint('absent') : bad(`- ${compact(was, VALUE_WIDTH)}`);
  const after = is === undefined ? faint('absent') : good(`+ ${compact(is, VALUE_WIDTH)}`);
  return `${path === '' ? 'state' : path}  ${before}  ${after}`;
}
