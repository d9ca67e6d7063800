/** The benchmarks of the chassis, a file each. */
import type { Suite } from '../suite.ts';
import { fuel } from './fuel.ts';
import { tasks } from './tasks.ts';

export const chassis: readonly Suite[] = [tasks, fuel];
