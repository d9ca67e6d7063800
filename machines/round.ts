/**
 * A round of weighted coordination. Sessions bid by their own actors, which know their weights; the winner is the highest
 * confidence × weight × match, and a manifest says how it came to that.
 *
 * R1  One bid a session: a later one replaces it. It comes from the session's own actor, which knows its weight.
 * R2  What was decided stays: a decided round takes no bids and is not decided again.
 * R3  Who opened it decides it, or who steers: nobody ends it before the others have bid.
 */
import type { AnyEventObject } from 'xstate';
import { z } from 'zod';
import { errorKinds, FabricError } from '#schemas/fabric-error';
import {
  BID_EVENT,
  BIDS_MAX,
  type Bid,
  ROUND_STATUSES,
  type RoundManifest,
  type RoundResult,
  type RoundView,
  roundActionSchema,
} from '#schemas/round';
import { decidedMachine, type Heard, type Outcome } from './decided.ts';
import { matchOf } from './registry/match.ts';

export const roundErrors = errorKinds({
  unknown_round: { retryable: false, help: 'Open it first: `openRound` of the client.' },
});

const RULE = 'winner = max(confidence × weight × match); match = |required ∩ has| / |required|';
const DIGEST = 'digest';
const STEERING: ReadonlySet<string> = new Set(['operator', 'person', 'supervisor', 'governor', 'council']);

interface RoundContext extends Omit<RoundView, 'bids'> {
  /** Who opened it. */
  readonly by: string | null;
  readonly task: string | null;
  readonly requires: readonly string[];
  readonly bids: readonly Bid[];
  readonly openedAt: number;
}

export const round = {
  name: 'round',
  version: 1,
  machine: decidedMachine<RoundContext>({
    id: 'round',
    version: '1',
    statuses: ROUND_STATUSES,
    hears: ['round.*', BID_EVENT, `xstate.done.actor.${DIGEST}`, `xstate.error.actor.${DIGEST}`],
    drivers: [DIGEST],
    context: (_input, self) => ({
      id: self.slice(self.indexOf('/') + 1),
      status: 'absent',
      by: null,
      task: null,
      requires: [],
      bids: [],
      openedAt: 0,
      manifest: null,
      sha256: null,
    }),
    decide,
  }),
};

/** Results, the best first; of equals the one that bid first. */
export function weigh(requires: readonly string[], bids: readonly Bid[]): readonly RoundResult[] {
  return bids
    .map(({ session, confidence, weight, capabilities }) => {
      const match = matchOf(requires, capabilities);
      return { session, match, score: confidence * weight * match };
    })
    .sort((a, b) => b.score - a.score);
}

function decide(context: RoundContext, { event, from, at }: Heard): Outcome<RoundContext> {
  if (event.type === `xstate.done.actor.${DIGEST}`) return decided(context, event['output']);
  // The manifest stands in the log all the same.
  if (event.type === `xstate.error.actor.${DIGEST}`) return decided(context, undefined);
  const parsed = roundActionSchema.safeParse(actionOf(event));
  if (!parsed.success) return refused('bad_action', 'this is not an action of a round');
  if (parsed.data.action === 'bid' && event.type !== BID_EVENT)
    return refused('not_permitted', 'a session bids: `session.bid`');
  const action = parsed.data;
  if (context.status === 'absent' && action.action !== 'open')
    throw new FabricError(roundErrors.unknown_round, `Nobody opened round ${context.id}`);
  switch (action.action) {
    case 'get':
      return { reply: viewOf(context) };
    case 'open':
      if (context.status !== 'absent') return refused('wrong_state', `it is ${context.status}`);
      return accepted(context, {
        status: 'open',
        by: from ?? null,
        task: action.task ?? null,
        requires: action.requires,
        openedAt: at,
      });
    case 'bid': {
      const { action: _, ...bid } = action;
      if (from !== `session/${bid.session}`) return refused('not_permitted', `${from} bids for another`);
      if (context.status !== 'open') return refused('wrong_state', `it is ${context.status}`);
      // R1.
      const bids = [...context.bids.filter(({ session }) => session !== bid.session), bid];
      return bids.length > BIDS_MAX ? refused('full', `${BIDS_MAX} bids`) : accepted(context, { bids });
    }
    case 'decide':
      // R3.
      if (from !== context.by && !STEERING.has(from?.slice(0, from.indexOf('/')) ?? ''))
        return refused('not_permitted', `${from} did not open it`);
      return close(context, at);
  }
}

function close(context: RoundContext, at: number): Outcome<RoundContext> {
  // R2.
  if (context.status !== 'open') return refused('wrong_state', `it is ${context.status}`);
  const { id, task, openedAt, requires, bids } = context;
  const results = weigh(requires, bids);
  const [best] = results;
  const manifest: RoundManifest = {
    format: 'infrafabric-round/1',
    round: id,
    task,
    openedAt,
    decidedAt: at,
    config: { requires, rule: RULE },
    inputs: bids,
    results,
    winner: best === undefined || best.score === 0 ? null : best.session,
  };
  return {
    ...accepted(context, { status: 'deciding', manifest }),
    effects: [{ id: DIGEST, driver: DIGEST, input: { value: manifest } }],
  };
}

function decided(context: RoundContext, output: unknown): Outcome<RoundContext> {
  const digest = z.object({ sha256: z.string() }).safeParse(output);
  const patch = { status: 'decided' as const, sha256: digest.success ? digest.data.sha256 : null };
  const view = viewOf({ ...context, ...patch });
  return {
    ended: [DIGEST],
    patch,
    tell: [{ type: 'round.decided', round: view }],
    log: {
      severity: 'INFO',
      message: {
        type: 'round_decided',
        round: view.id,
        winner: view.manifest?.winner ?? null,
        sha256: view.sha256,
      },
    },
  };
}

function accepted(context: RoundContext, patch: Partial<RoundContext>): Outcome<RoundContext> {
  return { patch, reply: { accepted: true, round: viewOf({ ...context, ...patch }) } };
}

function viewOf({ id, status, bids, manifest, sha256 }: RoundContext): RoundView {
  return { id, status, bids: bids.length, manifest, sha256 };
}

function actionOf({ type, ...rest }: AnyEventObject): unknown {
  return { ...rest, action: type === BID_EVENT ? 'bid' : type.slice('round.'.length) };
}

function refused(code: string, reason: string): Outcome<RoundContext> {
  return { reply: { accepted: false, code, reason } };
}
