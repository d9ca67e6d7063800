/** Each bug that is planted on purpose shows within a few schedules: the checks see what they are there for. */
import test from 'ava';
import { Turns } from '../rig/turns.ts';
import { findBug } from './bugs/find.ts';
import { BUGS } from './bugs/list.ts';

/** Bugs at a time, each in a process of its own. */
const AT_A_TIME = 2;
const SCHEDULES_MAX = 600;

const turns = new Turns(AT_A_TIME);

for (const bug of BUGS.filter(({ isRare }) => isRare !== true)) {
  test(`the bug ${bug.name} is found: ${bug.breaks}`, async (t) => {
    await using _turn = await turns.take();
    const { failure } = await findBug(bug, 1, SCHEDULES_MAX);
    t.truthy(failure, `npm run sim -- --bug ${bug.name}`);
    t.log(`seed ${failure?.seed}: ${failure?.violations[0]?.slice(0, 120)}`);
  });
}
