/** Carries attacks out, one after the other, and keeps how each ended. */
import type { Jail } from '#runtime/sandbox/jail/pool';
import type { Attack } from './attack.ts';
import { componentAttacks } from './components.ts';
import { generatedAttacks } from './generated.ts';
import { guestAttacks } from './guests.ts';
import { messageAttacks } from './messages.ts';
import { processAttacks } from './processes.ts';

export interface Finding {
  readonly group: string;
  readonly name: string;
  readonly ended: string;
  readonly isContained: boolean;
}

export function allAttacks(): readonly Attack[] {
  return [...guestAttacks, ...componentAttacks, ...generatedAttacks, ...messageAttacks, ...processAttacks()];
}

export async function carryOut(jail: Jail, { group, name, contained, run }: Attack): Promise<Finding> {
  const ended = await run(jail).catch((thrown: unknown) => `the jail threw: ${String(thrown)}`);
  return { group, name, ended, isContained: contained.includes(ended) };
}
