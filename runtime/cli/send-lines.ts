/** Sends the messages of a JSONL stream, one after the other, and remembers which lines were refused and why. */
import { createInterface } from 'node:readline';
import type { z } from 'zod';
import { FabricError, toWireError, type WireError } from '#schemas/fabric-error';
import { ifMessageSchema } from '#schemas/if-message';
import { cliErrors } from './errors.ts';
import type { Realm } from './realm.ts';

const LOST_CODES = new Set(['ask_timeout', 'nobody_answers', 'client_closed']);

/** What a line holds: an envelope without what the sending side stamps. */
const draftSchema = ifMessageSchema.omit({ id: true, ts: true, seq: true, signature: true });
export type Draft = z.input<typeof draftSchema>;

export interface Refusal {
  /** From 1. */
  readonly line: number;
  readonly to?: string;
  readonly error: WireError;
}

export interface SendResult {
  readonly lines: number;
  /** Messages accepted, one per receiver. */
  readonly sent: number;
  readonly refusals: readonly Refusal[];
}

export interface SendChoice {
  /** Ask instead of send: every receiver's answer is awaited, so that refusals at the edge are seen too. */
  readonly wait: boolean;
  readonly signal: AbortSignal;
  readonly onLine: (bytes: number, sent: number) => void;
}

/** In the order of the lines: a sender's numbers must grow on their way. Empty lines are skipped. */
export async function sendLines(
  realm: Pick<Realm, 'sendDraft' | 'askDraft'>,
  input: NodeJS.ReadableStream,
  { wait, signal, onLine }: SendChoice,
): Promise<SendResult> {
  const refusals: Refusal[] = [];
  let line = 0;
  let sent = 0;
  for await (const text of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })) {
    if (signal.aborted) break;
    line += 1;
    if (text.trim() !== '') {
      try {
        for (const draft of parcels(parseDraft(text), wait)) {
          sent += await deliver(realm, draft, wait, line, refusals);
        }
      } catch (error) {
        if (isLost(error)) throw error;
        refusals.push({ line, error: toWireError(error) });
      }
    }
    onLine(Buffer.byteLength(text) + 1, sent);
  }
  return { lines: line, sent, refusals };
}

/** An ask has one receiver, a send any number. */
function parcels(draft: Draft, wait: boolean): Draft[] {
  return wait ? draft.to.map((to) => ({ ...draft, to: [to] })) : [draft];
}

/** The number of messages accepted. */
async function deliver(
  realm: Pick<Realm, 'sendDraft' | 'askDraft'>,
  draft: Draft,
  wait: boolean,
  line: number,
  refusals: Refusal[],
): Promise<number> {
  try {
    await (wait ? realm.askDraft(draft) : realm.sendDraft(draft));
    return draft.to.length;
  } catch (error) {
    if (isLost(error)) throw error;
    refusals.push({ line, to: draft.to.join(', ').replaceAll('if://', ''), error: toWireError(error) });
    return 0;
  }
}

/** Reads one line. Throws `bad_line` with the field that is wrong. */
export function parseDraft(text: string): Draft {
  let data: unknown;
  try {
    data = JSON.parse(text);
  } catch (cause) {
    throw new FabricError(cliErrors.bad_line, cause instanceof Error ? cause.message : String(cause), {
      cause,
    });
  }
  const parsed = draftSchema.safeParse(data);
  if (parsed.success) return data as Draft;
  const [issue] = parsed.error.issues;
  const path = issue?.path.join('.') ?? '';
  throw new FabricError(
    cliErrors.bad_line,
    `${path === '' ? '' : `${path}: `}${issue?.message ?? 'not an IFMessage'}`,
  );
}

/** Nobody can be reached any more: the rest of the file is not tried. */
function isLost(error: unknown): boolean {
  return error instanceof FabricError && LOST_CODES.has(error.code);
}
