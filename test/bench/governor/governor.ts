/** The benchmarks of the governor, a file each. */
import type { Suite } from '../suite.ts';
import { match } from './match.ts';
import { meter } from './meter.ts';
import { policyDecisions } from './policy.ts';
import { reserve } from './reserve.ts';

export const governor: readonly Suite[] = [reserve, match, policyDecisions, meter];
