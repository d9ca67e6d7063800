/**
 * The registry: which taxonomy is in force, and the door by which workers are registered. It reads their capabilities and
 * gives each profile to an actor of its own, `worker/<id>`: what becomes of a worker is its own business.
 *
 * G1  Only who steers registers workers: a session must not write what it is paid, trusted or able to do. A component
 *     registers itself, by the contract that who steers has published.
 * G2  A taxonomy only moves on: its version is above that of the one before, and both stand in the log.
 */
import type { AnyEventObject } from 'xstate';
import { type AssignmentRules, assignmentRulesSchema } from '#schemas/assignment';
import type { Taxonomy } from '#schemas/capability';
import { COMPONENT_TYPE } from '#schemas/service-contract';
import {
  type RegistryAction,
  type RegistryReply,
  type RegistryView,
  registryActionSchema,
  registryInputSchema,
} from '#schemas/worker';
import { decidedMachine, type Heard, type Outcome } from './decided.ts';
import { lexiconOf, readCapabilities, taxonomyFaults } from './registry/taxonomy.ts';

export interface RegistryContext {
  readonly status: 'open';
  readonly taxonomy: Taxonomy | null;
  readonly currency: string;
  readonly rules: AssignmentRules;
  readonly registrations: number;
}

export const registry = {
  name: 'registry',
  version: 1,
  machine: decidedMachine<RegistryContext>({
    id: 'registry',
    version: '1',
    statuses: ['open'],
    hears: ['registry.*'],
    drivers: [],
    context: (input) => {
      const { currency, rules } = registryInputSchema.parse(input ?? {});
      return { status: 'open', taxonomy: null, currency, rules, registrations: 0 };
    },
    decide,
  }),
};

const STEERING: ReadonlySet<string> = new Set(['operator', 'person', 'supervisor', 'governor']);

function decide(context: RegistryContext, { event, from }: Heard): Outcome<RegistryContext> {
  const parsed = registryActionSchema.safeParse(actionOf(event));
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    return refuse(
      'bad_action',
      `${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'no action of a registry'}`,
    );
  }
  const action = parsed.data;
  if (action.action === 'get') return { reply: viewOf(context) };
  const by = from ?? '';
  // G1.
  const isItself = action.action === 'register' && by === `${COMPONENT_TYPE}/${action.profile.id}`;
  if (!isItself && !STEERING.has(by.slice(0, by.indexOf('/'))))
    return refuse('not_permitted', `${by} may not`);
  switch (action.action) {
    case 'taxonomy':
      return enact(context, action.taxonomy);
    case 'rules': {
      const rules = assignmentRulesSchema.parse(action.rules);
      return accept(
        context,
        { rules },
        { tell: [{ type: 'registry.rules', rules }], log: info({ type: 'rules', rules }) },
      );
    }
    case 'register':
      return register(context, action);
  }
}

/** G2. */
function enact(context: RegistryContext, taxonomy: Taxonomy): Outcome<RegistryContext> {
  const [fault] = taxonomyFaults(taxonomy);
  if (fault !== undefined) return refuse('bad_taxonomy', `${fault.path.join('.')}: ${fault.what}`);
  const before = context.taxonomy?.version ?? 0;
  if (taxonomy.version <= before)
    return refuse('old_taxonomy', `version ${before} is in force; this is ${taxonomy.version}`);
  return accept(
    context,
    { taxonomy },
    {
      tell: [{ type: 'registry.taxonomy', version: taxonomy.version }],
      log: info({ type: 'taxonomy', version: taxonomy.version, before }),
    },
  );
}

function register(
  context: RegistryContext,
  { profile, strict }: Extract<RegistryAction, { action: 'register' }>,
): Outcome<RegistryContext> {
  const { taxonomy, currency, rules } = context;
  if (profile.costPerHour.currency !== currency)
    return refuse('other_currency', `prices are in ${currency} here, not ${profile.costPerHour.currency}`);
  const lexicon = taxonomy === null ? undefined : lexiconOf(taxonomy);
  const read = readCapabilities(lexicon, profile.capabilities, true);
  const isStrict = strict || lexicon?.unknown === 'error';
  const wrong = read.problems.filter(({ kind }) => kind === 'malformed' || (kind === 'unknown' && isStrict));
  if (wrong.length > 0) {
    const [first] = wrong;
    const nearest = first?.nearest == null ? '' : ` — did you mean "${first.nearest}"?`;
    const reason =
      first?.kind === 'malformed'
        ? `"${first.capability}" is not category:skill or category:skill:detail${nearest}`
        : `"${first?.capability}" is not in taxonomy ${taxonomy?.version}${nearest}`;
    return {
      reply: { accepted: false, code: 'bad_capability', reason, problems: wrong } satisfies RegistryReply,
    };
  }
  const taxonomyVersion = taxonomy?.version ?? null;
  const known = { ...profile, capabilities: [...read.capabilities] };
  const reply: RegistryReply = { accepted: true, taxonomyVersion, read };
  return {
    patch: { registrations: context.registrations + 1 },
    mail: [
      {
        to: `worker/${profile.id}`,
        event: { type: 'worker.profile', profile: known, taxonomyVersion, rules },
      },
    ],
    reply,
    ...(read.problems.some(({ kind }) => kind === 'unknown') && {
      log: {
        severity: 'WARN' as const,
        message: { type: 'unknown_capabilities', worker: profile.id, problems: read.problems },
      },
    }),
  };
}

function viewOf({ taxonomy, currency, rules, registrations }: RegistryContext): RegistryView {
  return { taxonomy, currency, rules, registrations };
}

function accept(
  context: RegistryContext,
  patch: Partial<RegistryContext>,
  more: Pick<Outcome<RegistryContext>, 'tell' | 'log'>,
): Outcome<RegistryContext> {
  const taxonomyVersion = { ...context, ...patch }.taxonomy?.version ?? null;
  return { ...more, patch, reply: { accepted: true, taxonomyVersion } satisfies RegistryReply };
}

function info(message: { readonly type: string; readonly [field: string]: unknown }) {
  return { severity: 'INFO' as const, message };
}

function actionOf({ type, ...rest }: AnyEventObject): unknown {
  return { ...rest, action: type.slice('registry.'.length) };
}

function refuse(
  code: Extract<RegistryReply, { accepted: false }>['code'],
  reason: string,
): Outcome<RegistryContext> {
  return { reply: { accepted: false, code, reason } };
}
