/** Rounds of weighted coordination: who should have a task, by confidence × weight × match. */
import { z } from 'zod';
import { profileSchema } from './session.ts';
import { WITHIN } from './within.ts';

/** Type of the actors. */
export const ROUND_TYPE = 'round';
export const BIDS_MAX = 1_000;
export const BID_EVENT = `${WITHIN}bid`;

const id = z.string().min(1).max(200);
const capabilities = z.array(z.string().max(200)).max(200);

export const bidSchema = z.strictObject({
  session: id,
  confidence: z.number().min(0).max(1),
  /** Of the session at that moment. */
  weight: z.number().min(0).max(2),
  profile: profileSchema,
  capabilities,
});
export type Bid = z.infer<typeof bidSchema>;

export const roundActionSchema = z.discriminatedUnion('action', [
  z.object({ action: z.literal('open'), task: id.optional(), requires: capabilities.default([]) }),
  /** Mail of a session, as the event {@link BID_EVENT}: its client could name another weight. */
  z.object({ action: z.literal('bid'), ...bidSchema.shape }),
  z.object({ action: z.literal('decide') }),
  z.object({ action: z.literal('get') }),
]);
export type RoundAction = z.infer<typeof roundActionSchema>;

export interface RoundResult {
  readonly session: string;
  readonly match: number;
  readonly score: number;
}

/** Says by itself what was decided, from what, and how. */
export interface RoundManifest {
  readonly format: 'infrafabric-round/1';
  readonly round: string;
  readonly task: string | null;
  /** ms since the epoch. */
  readonly openedAt: number;
  readonly decidedAt: number;
  readonly config: { readonly requires: readonly string[]; readonly rule: string };
  readonly inputs: readonly Bid[];
  /** The best first. */
  readonly results: readonly RoundResult[];
  readonly winner: string | null;
}

export const ROUND_STATUSES = ['absent', 'open', 'deciding', 'decided'] as const;

export interface RoundView {
  readonly id: string;
  readonly status: (typeof ROUND_STATUSES)[number];
  readonly bids: number;
  readonly manifest: RoundManifest | null;
  /** SHA-256 of the RFC 8785 bytes of the manifest, in hex. */
  readonly sha256: string | null;
}
