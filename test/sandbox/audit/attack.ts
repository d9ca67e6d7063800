/** What an attack is, and where it is carried out. */
import type { Jail } from '#runtime/sandbox/jail/pool';
import type { JailComponent, JailResult, JailTask } from '#runtime/sandbox/jail/types';
import { taskOf } from '../../rig/jail.ts';

export interface Attack {
  readonly group: string;
  readonly name: string;
  /** Ends that count as contained: each attack knows its own. */
  readonly contained: readonly string[];
  /** Resolves with how it ended: a code, or what a taken-over process says. */
  readonly run: (jail: Jail) => Promise<string>;
}

/** How a task ended, in a word. */
export function endOf(result: JailResult): string {
  return result.kind === 'done' ? 'done' : result.error.code;
}

/** The attacker's tenant: neighbours have others. */
export const ATTACKER = 'attacker';

export async function attackWith(
  jail: Jail,
  component: JailComponent,
  more: Partial<JailTask> = {},
): Promise<string> {
  return endOf(await jail.run(taskOf(component, { tenant: ATTACKER, ...more })));
}
