/** The machines that the package brings along; a replay runs them and needs nothing else. */
import { approval } from '#machines/approval';
import { board } from '#machines/board';
import { breaker } from '#machines/breaker';
import { budget } from '#machines/budget';
import { component } from '#machines/component';
import { costs } from '#machines/costs';
import { counter } from '#machines/counter';
import { journal } from '#machines/journal';
import { keyring } from '#machines/keyring';
import { ledger } from '#machines/ledger';
import { policy } from '#machines/policy';
import { prices } from '#machines/prices';
import { redaction } from '#machines/redaction';
import { registry } from '#machines/registry';
import { round } from '#machines/round';
import { runner } from '#machines/runner';
import { sandbox } from '#machines/sandbox';
import { session } from '#machines/session';
import { supervisor } from '#machines/supervisor';
import { swarm } from '#machines/swarm';
import { task } from '#machines/task';
import { witness } from '#machines/witness';
import { worker } from '#machines/worker';
import type { MachineDefinition } from '#runtime/machine/registry';

export const machines: readonly MachineDefinition[] = [
  approval,
  board,
  breaker,
  budget,
  component,
  costs,
  counter,
  journal,
  keyring,
  ledger,
  policy,
  prices,
  redaction,
  registry,
  round,
  runner,
  sandbox,
  session,
  supervisor,
  swarm,
  task,
  witness,
  worker,
];
