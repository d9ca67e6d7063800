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

type Orders = Pick<Outcome<never>, 'starts' | 'mail'>;

/** What makes the processes those of the template; `isRunning`: there is a supervisor already. */
export function crewOrders(isRunning: boolean, swarm: string, template: SwarmTemplate): Orders {
  const spec = specOf(template);
  if (spec === undefined) return isRunning ? { mail: [dismissed(swarm)] } : {};
  const to = addressOf(swarm);
  if (isRunning) return { mail: [{ to, event: { type: 'config.apply', spec } }] };
  return { starts: [{ to, childId: CREW, machine: SUPERVISOR_MACHINE, input: spec }] };
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
