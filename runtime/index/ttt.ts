/**
 * The TTT report, folded from entries of the log: every claim traceable to its entry, transparent (reasons, evidence and
 * dissent kept as they were said), and with a status that says by which rule it has it.
 *
 * T1  A claim is an IFMessage `inform`, `share` or `propose` that its receiver heard; one message is one claim, however
 *     many receivers it had. What the edge refused is no claim, and is listed as a refusal.
 * T2  verified: the edge checked its signature (else `unverified`). disputed: another worker contradicts it, its receiver
 *     refuses it, or another worker's number for the same question differs by more than 20 %. revoked: its own sender
 *     contradicts it or agrees with the contradiction. A status only ever moves in this order.
 * T3  Dissent stays in the report as it was said, whatever became of it.
 */
import type { Entry } from '#schemas/commit';
import { facetsOf, messageOf, plain, record, text } from './facets.ts';

/** Two numbers for one question that lie further apart than this share of the larger are a dispute (SPEC). */
const DIFFERENCE_MAX = 0.2;
/** What a report holds at most: it says so where there were more. */
const CLAIMS_MAX = 100_000;
const REFUSALS_MAX = 10_000;

const CLAIMING = new Set(['if.inform', 'if.share', 'if.propose']);
/** Fields of a content that say why, and that point to what can be looked at. */
const REASONS = ['reason', 'rationale', 'why', 'note', 'because'] as const;
const EVIDENCE = ['evidence', 'deliverable', 'artifact', 'artifacts'] as const;
const QUESTIONS = ['question', 'claimOf', 'about'] as const;
/** Fields of a content that name the message it speaks of. */
const TARGETS = ['claim', 'contradicts', 'revokes', 'inReplyTo'] as const;

export type ClaimStatus = 'unverified' | 'verified' | 'disputed' | 'revoked';

/** Where an entry lies. */
export interface EntryPlace {
  readonly seq: number;
  readonly shard: number;
  readonly index: number;
  readonly n: number;
  /** ms since the epoch. */
  readonly at: number;
}

export interface Dissent {
  readonly by: string;
  readonly place: EntryPlace;
  readonly kind: 'contradiction' | 'refusal' | 'numbers' | 'withdrawal' | 'agreement';
  /** As it was said. */
  readonly said: unknown;
  readonly rule: string;
}

export interface Claim {
  readonly id: string;
  readonly by: string;
  readonly performative: string;
  readonly conversation?: string;
  readonly task?: string;
  /** The first entry that holds it; the others are its further receivers'. */
  readonly entry: EntryPlace;
  readonly furtherEntries: readonly EntryPlace[];
  readonly actor: string;
  readonly content: unknown;
  readonly confidence?: number;
  readonly citations: readonly string[];
  readonly reasons: readonly string[];
  readonly evidence: readonly unknown[];
  /** Key that signed it. */
  readonly kid?: string;
  readonly status: ClaimStatus;
  /** Why it has this status. */
  readonly rule: string;
  readonly dissent: readonly Dissent[];
}

export interface Refusal {
  readonly place: EntryPlace;
  readonly actor: string;
  readonly by?: string;
  readonly code: string;
  readonly message: string;
}

export interface TttReport {
  readonly claims: readonly Claim[];
  readonly refusals: readonly Refusal[];
  /** True where there was more than a report holds. */
  readonly truncated: boolean;
  readonly count: Readonly<Record<ClaimStatus, number>>;
  /** Sequences that were read. */
  readonly through: number;
}

export interface TttItem extends EntryPlace {
  readonly entry: Entry;
}

interface OpenClaim extends Omit<Claim, 'furtherEntries' | 'status' | 'rule' | 'dissent'> {
  furtherEntries: EntryPlace[];
  status: ClaimStatus;
  rule: string;
  dissent: Dissent[];
  readonly question: string | undefined;
}

type Message = Readonly<Record<string, unknown>>;

const RANKS: readonly ClaimStatus[] = ['unverified', 'verified', 'disputed', 'revoked'];

/** Takes entries in the order of the log. */
export class TttFold {
  readonly #claims = new Map<string, OpenClaim>();
  readonly #byConversation = new Map<string, OpenClaim[]>();
  readonly #byQuestion = new Map<string, OpenClaim[]>();
  readonly #refusals: Refusal[] = [];
  #truncated = false;
  #through = 0;

  add(item: TttItem): void {
    const { entry } = item;
    this.#through = Math.max(this.#through, item.seq);
    const message = messageOf(entry.event);
    if (entry.op === 'dead') {
      this.#refuse(item);
      return;
    }
    const type = text(record(entry.event)?.['type']);
    const id = text(message?.['id']);
    const from = text(message?.['from']);
    if (message === undefined || type === undefined || id === undefined || from === undefined) return;
    const sender = plain(from);
    if (type === 'if.contradict') this.#contradict(item, message, sender);
    else if (type === 'if.agree') this.#agree(item, message, sender);
    else if (CLAIMING.has(type)) this.#claim(item, message, { id, sender, type });
  }

  report(): TttReport {
    const count = { unverified: 0, verified: 0, disputed: 0, revoked: 0 };
    const claims = [...this.#claims.values()].map(({ question: _, ...claim }) => claim);
    for (const { status } of claims) count[status] += 1;
    return { claims, refusals: this.#refusals, truncated: this.#truncated, count, through: this.#through };
  }

  #claim(
    item: TttItem,
    message: Message,
    { id, sender, type }: { readonly id: string; readonly sender: string; readonly type: string },
  ): void {
    const key = `${sender} ${id}`;
    const known = this.#claims.get(key);
    // T1: another receiver of the same message.
    if (known !== undefined) {
      known.furtherEntries.push(placeOf(item));
      this.#hearAnswer(item, known);
      return;
    }
    if (this.#claims.size >= CLAIMS_MAX) {
      this.#truncated = true;
      return;
    }
    const { entry } = item;
    const { conversation, task } = facetsOf(entry);
    const content = message['content'];
    const kid = entry.signed?.kid;
    const confidence = message['confidence'];
    const claim: OpenClaim = {
      id,
      by: sender,
      performative: type.slice('if.'.length),
      ...(conversation !== undefined && { conversation }),
      ...(task !== undefined && { task }),
      entry: placeOf(item),
      furtherEntries: [],
      actor: entry.actor,
      content,
      ...(typeof confidence === 'number' && { confidence }),
      citations: texts(message['citations']),
      reasons: reasonsOf(message),
      evidence: EVIDENCE.flatMap((name) => record(content)?.[name] ?? []),
      ...(kid !== undefined && { kid }),
      status: kid === undefined ? 'unverified' : 'verified',
      rule: kid === undefined ? 'nobody signed it' : `signed with key ${kid}, checked at the edge`,
      dissent: [],
      question: questionOf(message),
    };
    this.#claims.set(key, claim);
    listed(this.#byConversation, conversation).push(claim);
    this.#compareNumbers(claim);
    this.#hearAnswer(item, claim);
    if (claim.question !== undefined) listed(this.#byQuestion, claim.question).push(claim);
  }

  /** T2: a receiver that answers with `accepted: false`. */
  #hearAnswer(item: TttItem, claim: OpenClaim): void {
    const reply = record(item.entry.reply);
    if (reply?.['accepted'] !== false) return;
    const rule = `its receiver ${item.entry.actor} refused it`;
    dispute(claim, 'disputed', {
      by: item.entry.actor,
      place: placeOf(item),
      kind: 'refusal',
      said: reply,
      rule,
    });
  }

  #contradict(item: TttItem, message: Message, sender: string): void {
    const { claim, how } = this.#target(message, sender);
    if (claim === undefined) return;
    const isOwn = claim.by === sender;
    const rule = isOwn ? `its sender contradicts it${how}` : `${sender} contradicts it${how}`;
    const place = placeOf(item);
    if (claim.dissent.some((known) => known.by === sender && known.place.seq === place.seq)) return;
    dispute(claim, isOwn ? 'revoked' : 'disputed', {
      by: sender,
      place,
      kind: isOwn ? 'withdrawal' : 'contradiction',
      said: saidOf(message),
      rule,
    });
  }

  /** T2: who agrees with a contradiction of a claim of their own takes it back. */
  #agree(item: TttItem, message: Message, sender: string): void {
    const to = texts(message['to']).map(plain);
    const claims = this.#byConversation.get(text(message['conversation']) ?? '') ?? [];
    const claim = claims.findLast(
      ({ by, status, dissent }) =>
        by === sender &&
        status === 'disputed' &&
        dissent.some((one) => one.kind === 'contradiction' && to.includes(one.by)),
    );
    if (claim === undefined) return;
    const rule = 'its sender agreed with the contradiction';
    dispute(claim, 'revoked', {
      by: sender,
      place: placeOf(item),
      kind: 'agreement',
      said: saidOf(message),
      rule,
    });
  }

  /** The claim that a contradiction names; else the last one of a receiver in its conversation. */
  #target(
    message: Message,
    sender: string,
  ): { readonly claim?: OpenClaim | undefined; readonly how: string } {
    const content = record(message['content']);
    const named = [...TARGETS.flatMap((name) => texts(content?.[name])), ...texts(message['citations'])];
    const claims = this.#byConversation.get(text(message['conversation']) ?? '') ?? [];
    const byName = claims.findLast(({ id }) => named.includes(id));
    if (byName !== undefined) return { claim: byName, how: ', by its id' };
    const to = texts(message['to']).map(plain);
    const answered =
      claims.findLast(({ by }) => to.includes(by)) ??
      claims.findLast(({ by, actor }) => by !== sender && to.includes(actor));
    return { claim: answered, how: ', as the last claim it answers in the conversation' };
  }

  #compareNumbers(claim: OpenClaim): void {
    if (claim.question === undefined) return;
    for (const other of this.#byQuestion.get(claim.question) ?? []) {
      if (other.by === claim.by) continue;
      const differing = numberThatDiffers(claim.content, other.content);
      if (differing === undefined) continue;
      const { name, mine, theirs, share } = differing;
      const apart = `${Math.round(share * 100)} % apart, more than ${DIFFERENCE_MAX * 100} %`;
      const against = (a: OpenClaim, b: OpenClaim, values: string): void =>
        dispute(a, 'disputed', {
          by: b.by,
          place: b.entry,
          kind: 'numbers',
          said: b.content,
          rule: `${name} is ${values} by ${b.by} for the same question: ${apart}`,
        });
      against(claim, other, `${mine} here and ${theirs}`);
      against(other, claim, `${theirs} here and ${mine}`);
    }
  }

  #refuse(item: TttItem): void {
    if (this.#refusals.length >= REFUSALS_MAX) {
      this.#truncated = true;
      return;
    }
    const { actor, error } = item.entry;
    const { sender } = facetsOf(item.entry);
    this.#refusals.push({
      place: placeOf(item),
      actor,
      ...(sender !== undefined && { by: sender }),
      code: error?.code ?? 'refused',
      message: error?.message ?? '',
    });
  }
}

function dispute(claim: OpenClaim, status: ClaimStatus, dissent: Dissent): void {
  claim.dissent.push(dissent);
  if (RANKS.indexOf(status) <= RANKS.indexOf(claim.status)) return;
  claim.status = status;
  claim.rule = dissent.rule;
}

/** Workers speak of one question where conversation and topic, or the question in the content, are the same. */
function questionOf(message: Message): string | undefined {
  const content = record(message['content']);
  const asked = text(message['topic']) ?? QUESTIONS.map((name) => text(content?.[name])).find(isText);
  return asked === undefined ? undefined : `${text(message['conversation']) ?? ''}\n${asked}`;
}

/** The number that lies furthest apart; a content that is a number is compared as such, else fields of one name. */
function numberThatDiffers(
  mine: unknown,
  theirs: unknown,
):
  | { readonly name: string; readonly mine: number; readonly theirs: number; readonly share: number }
  | undefined {
  const [a, b] = [numbersOf(mine), numbersOf(theirs)];
  const pairs = [...a].flatMap(([name, value]) => {
    const other = b.get(name);
    if (other === undefined) return [];
    const largest = Math.max(Math.abs(value), Math.abs(other));
    const share = largest === 0 ? 0 : Math.abs(value - other) / largest;
    return share > DIFFERENCE_MAX ? [{ name, mine: value, theirs: other, share }] : [];
  });
  return pairs.toSorted((x, y) => y.share - x.share)[0];
}

function numbersOf(content: unknown): ReadonlyMap<string, number> {
  if (typeof content === 'number') return new Map([['the number', content]]);
  const fields = Object.entries(record(content) ?? {});
  return new Map(fields.filter((field): field is [string, number] => typeof field[1] === 'number'));
}

function reasonsOf(message: Message): string[] {
  const content = record(message['content']);
  const rationale = text(record(message['hazard'])?.['rationale']);
  return [
    ...REASONS.flatMap((name) => text(content?.[name]) ?? []),
    ...(isText(rationale) ? [rationale] : []),
  ];
}

function saidOf(message: Message): unknown {
  return message['content'] ?? null;
}

function placeOf({ seq, shard, index, n, at }: TttItem): EntryPlace {
  return { seq, shard, index, n, at };
}

function texts(value: unknown): string[] {
  if (isText(value)) return [value];
  return Array.isArray(value) ? value.filter(isText) : [];
}

function isText(value: unknown): value is string {
  return typeof value === 'string';
}

function listed<T>(map: Map<string, T[]>, key = ''): T[] {
  const found = map.get(key);
  if (found !== undefined) return found;
  const made: T[] = [];
  map.set(key, made);
  return made;
}
