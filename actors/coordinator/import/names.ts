/** What people call sessions and states, as the ids and words of a board. */
import { isActorId } from '#schemas/address';

/** Cells that name nobody, or nothing. */
const NOTHING = /^(?:|-|–|—|none|n\/?a|nobody|anyone|any|tbd|null)$/i;

export function isNothing(text: string): boolean {
  return NOTHING.test(text.trim());
}

/**
 * The id of a session from what people call it; undefined for nobody. An address is what it says, to the letter.
 *
 * @example
 * sessionIdOf('Session 7 (IF.bus)'); // 'bus'
 * sessionIdOf('session-2-webrtc'); // 'webrtc'
 * sessionIdOf('session/Web.7'); // 'Web.7'
 */
export function sessionIdOf(text: string): string | undefined {
  const [, address] = /^(?:if:\/\/)?session\/(.*)$/.exec(text.trim()) ?? [];
  if (address !== undefined && isActorId(address)) return address;
  const name = address ?? text.trim();
  if (isNothing(name)) return undefined;
  const [, inBrackets] = /\(([^()]+)\)\s*$/.exec(name) ?? [];
  const words = (inBrackets ?? name)
    .toLowerCase()
    .replace(/^if\./, '')
    .replaceAll('.', '')
    .replaceAll(/[^a-z0-9@+=]+/g, '-')
    .replaceAll(/^-+|-+$/g, '');
  const short = words.replace(/^session-?(?:\d+-)?(?=[a-z])/, '');
  return short === '' ? undefined : short;
}

/** What {@link sessionIdOf} reads as this session: the plain name, or its address where a name would be read otherwise. */
export function nameOfSession(id: string, prefix = ''): string {
  return sessionIdOf(`${prefix}${id}`) === id ? `${prefix}${id}` : `session/${id}`;
}

type Word = 'waiting' | 'claimed' | 'in_progress' | 'blocked' | 'completed' | 'failed' | 'cancelled';

const WORDS: readonly (readonly [RegExp, Word])[] = [
  [
    /^(?:not[ _-]?started|available|open|todo|to do|ready|pending|waiting|unclaimed|backlog|⬜|☐|\[ \])/iu,
    'waiting',
  ],
  [/^(?:claim(?:ed|ing)|assigned|taken)/i, 'claimed'],
  [/^(?:in[ _-]?progress|active|working|started|doing|ongoing|wip|🔄|🚧|\d+ ?%)/iu, 'in_progress'],
  [/^(?:blocked|on hold|stuck|⛔|🚫)/iu, 'blocked'],
  [/^(?:complete[d]?|done|finished|merged|shipped|✅|✓|✔|☑|\[x\])/iu, 'completed'],
  [/^(?:fail(?:ed|ure)?|broken|❌|✗)/iu, 'failed'],
  [/^(?:cancel+ed|dropped|obsolete|won'?t do|skipped)/i, 'cancelled'],
];

/** The state a word or a sign stands for; `waiting` for not begun; undefined where it is none. */
export function statusOf(text: string): Word | undefined {
  return WORDS.find(([pattern]) => pattern.test(text.trim()))?.[1];
}

/** `50% - Policy configuration complete` → 50 and the words; undefined without a number. */
export function milestoneOf(text: string): { readonly milestone: number; readonly note: string } | undefined {
  const [, digits, note = ''] = /^\s*(\d{1,3}(?:\.\d+)?)\s*%?\s*(?:[-–—:]\s*)?(.*)$/s.exec(text) ?? [];
  const milestone = Number(digits);
  return digits === undefined || milestone > 100 ? undefined : { milestone, note: note.trim() };
}

/** `2h`, `1.5 hours`, `90 min`, `2 days` (of 8 hours) as hours; undefined where it is no time. */
export function hoursOf(text: string): number | undefined {
  const [, digits, unit = 'h'] =
    /^~?\s*(\d+(?:\.\d+)?)\s*(h|hrs?|hours?|m|min|minutes?|d|days?)?$/i.exec(text.trim()) ?? [];
  if (digits === undefined) return undefined;
  const factor = /^m/i.test(unit) ? 1 / 60 : /^d/i.test(unit) ? 8 : 1;
  return Number(digits) * factor;
}
