/** Carries out what an import planned, step by step; what a task refuses is told and stops nothing else. */
import { setTimeout as pause } from 'node:timers/promises';
import { FabricError } from '#schemas/fabric-error';
import type { TaskReply } from '#schemas/task';
import { checkedOf } from '../checked.ts';
import type { Desk } from '../desk.ts';
import { coordinatorErrors } from '../errors.ts';
import type { ImportPlan, Step } from './plan.ts';

/** Boards and tasks tell tasks by mail: what was added or became available is known there milliseconds later. */
const IN_THE_MAIL: ReadonlySet<string> = new Set(['unknown_task', 'not_available']);
const MAIL_TIMEOUT_MS = 10_000;
/** What mail has done cannot be awaited from outside, only looked at. */
const LOOK_EVERY_MS = 20;

export interface Refusal {
  readonly step: Step;
  readonly reason: string;
}

/** Gives what was refused. Throws where the board takes no tasks, and for faults. */
export async function applyPlan(plan: ImportPlan, desk: Desk): Promise<readonly Refusal[]> {
  const refusals: Refusal[] = [];
  const stuck = new Set<string>();
  if (plan.add.length > 0) {
    const reply = await desk.addTasks(plan.add);
    if (!reply.accepted) throw new FabricError(coordinatorErrors.tasks_refused, reply.reason);
  }
  for (const step of plan.steps) {
    // What was refused once is not in the state that the later steps rest on.
    if (stuck.has(step.address)) continue;
    const reason = await refusalOf(step, desk);
    if (reason === undefined) continue;
    refusals.push({ step, reason });
    stuck.add(step.address);
  }
  return refusals;
}

async function refusalOf(step: Step, desk: Desk): Promise<string | undefined> {
  for (const deadline = Date.now() + MAIL_TIMEOUT_MS; ; ) {
    const reply = await said(step, desk);
    if (reply.accepted !== false) return reply.checking === true ? await checked(step, desk) : undefined;
    if (!IN_THE_MAIL.has(reply.code) || Date.now() > deadline) return reply.reason;
    await pause(LOOK_EVERY_MS);
  }
}

/** What the governor has against a claim. The steps behind it rest on the word, which the task gives up to wait for in time. */
async function checked({ address, as }: Step, desk: Desk): Promise<string | undefined> {
  const id = address.slice(address.indexOf('/') + 1);
  for (;;) {
    const outcome = checkedOf(await desk.task(id), as ?? desk.as);
    if (outcome !== undefined) return outcome.accepted ? undefined : outcome.reason;
    await pause(LOOK_EVERY_MS);
  }
}

/** A task nobody has told yet that it was added throws; that too passes. */
async function said({ address, event, as }: Step, desk: Desk): Promise<TaskReply> {
  try {
    return await desk.say(address, event, as);
  } catch (thrown) {
    if (!(thrown instanceof FabricError) || thrown.code !== 'unknown_task') throw thrown;
    return { accepted: false, code: 'unknown_task', reason: thrown.message, status: 'absent' };
  }
}
