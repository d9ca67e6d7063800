/** The processes of a swarm: a supervisor with one child for each session, which runs its process. */
import { faceOf, LEDGER_TYPE } from '#schemas/budget';
import type { ChildSpec, SupervisorSpec } from '#schemas/supervisor';
import { SUPERVISOR_MACHINE, SUPERVISOR_TYPE } from '#schemas/supervisor';
import {
  RUNNER_MACHINE,
  RUNNER_TYPE,
  type RunnerInput,
  type SwarmTemplate,
  sessionsOf,
} from '#schemas/swarm';
import type { Outcome } from '../decided.ts';

/** The id under which a swarm knows its supervisor. */
export const CREW = 'crew';

/**
 * The supervisor that runs its processes. One that is `ending` was told to, and its end is still to be heard: a start
 * before that would be taken up by the one that ends, or that end be taken for the new one's.
 */
export type Crew = 'none' | 'running' | 'ending';

type Orders = Pick<Outcome<never>, 'starts' | 'mail'>;

/** What makes the processes those of the template, and how the supervisor stands then. */
export function crewOrders(
  crew: Crew,
  swarm: string,
  template: SwarmTemplate,
): Orders & { readonly crew: Crew } {
  if (crew === 'ending') return { crew };
  const spec = specOf(template);
  if (crew === 'running') {
    if (spec === undefined) return { crew: 'ending', mail: [dismissed(swarm)] };
    return { crew, mail: [{ to: addressOf(swarm), event: { type: 'config.apply', spec } }] };
  }
  const starts = crewStart(swarm, template);
  return starts === undefined ? { crew } : { crew: 'running', starts };
}

/** Starts the supervisor; undefined where there is nothing for it to run. */
export function crewStart(swarm: string, template: SwarmTemplate | null): Orders['starts'] {
  const spec = template === null ? undefined : specOf(template);
  if (spec === undefined) return undefined;
  return [{ to: addressOf(swarm), childId: CREW, machine: SUPERVISOR_MACHINE, input: spec }];
}

/** Ends all processes, the last started first. */
export function dismissed(swarm: string) {
  return { to: addressOf(swarm), event: { type: 'config.stop' } };
}

/** Opens the account of a swarm, or gives it the limits that its template has now; nothing where it names no account above. */
export function accountOrders({ id, budget }: SwarmTemplate): NonNullable<Orders['mail']> {
  if (budget?.parent === undefined) return [];
  const { costMicros = null, tokens = null, parent, tree } = budget;
  const limit = { micros: costMicros, tokens };
  const reason = `the template of swarm ${id}`;
  const event = { type: 'ledger.set', account: accountOf(id), parent, limit, reason };
  return [{ to: `${LEDGER_TYPE}/${tree}`, event }];
}

function accountOf(swarm: string): string {
  return `swarm:${swarm}`;
}

function addressOf(swarm: string): string {
  return `${SUPERVISOR_TYPE}/swarm:${swarm}`;
}

function specOf(template: SwarmTemplate): SupervisorSpec | undefined {
  const { process } = template;
  if (process === undefined) return undefined;
  const { restart, intensity, periodMs, command, args, env, cwd } = process;
  const children = sessionsOf(template).map((session): ChildSpec => {
    const { id, capabilities } = session;
    const input: RunnerInput = {
      session: id,
      swarm: template.id,
      capabilities: [...new Set([...template.capabilities, ...capabilities])],
      command,
      args,
      env,
      ...(cwd !== undefined && { cwd }),
    };
    return { id, address: `${RUNNER_TYPE}/${id}`, machine: RUNNER_MACHINE, restart, input };
  });
  const { budget } = template;
  const isBound = budget?.parent !== undefined;
  return {
    strategy: 'one_for_one',
    intensity,
    periodMs,
    children,
    ...(isBound && { budget: faceOf(budget.tree, accountOf(template.id)) }),
  };
}
