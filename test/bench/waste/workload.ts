/**
 * The reference workload: who there is and what there is to do, from a seed. docs/waste.md says the same in words; what a
 * governor may know of it is the profile of each worker and the needs of each task, the rest is `true…`.
 */
import { defaultTaxonomyFile, readTaxonomy } from '#actors/governor/registry/taxonomy-file';
import type { Random } from '#runtime/shard/ports';
import { seededRandom } from '#runtime/testing/seeded-random';
import type { Need } from '#schemas/assignment';
import { MICROS } from '#schemas/money';
import { type WorkerProfile, workerProfileSchema } from '#schemas/worker';

export const TASKS = 10_000;
export const WORKERS = 200;
export const HOUR_MS = 3_600_000;

export interface SimWorker {
  readonly profile: WorkerProfile;
  /** What it can really do. */
  readonly trueSkills: ReadonlySet<string>;
  /** How often it succeeds with work that it can do. */
  readonly trueReliability: number;
  /** Hours it takes for an estimated hour. */
  readonly truePace: number;
}

export interface SimTask {
  readonly need: Need;
  readonly priority: number;
  /** ms since the beginning. */
  readonly arrivesAt: number;
}

export interface Workload {
  readonly workers: readonly SimWorker[];
  readonly tasks: readonly SimTask[];
}

/** Categories of the taxonomy that a worker masters: from .4 to all of them. Set so that random assignment meets 57 %. */
const BREADTH = [0.35, 0.95] as const;
/** Skills of a category that who masters it has. */
const SKILL_SHARE = 0.9;
/** So many workers claim more than they can, by so much. */
const BOASTERS = 0.1;
const BOAST_SHARE = 0.3;
/** Three sorts of workers: share, and the range of their success rates. */
const RELIABILITY = [
  { share: 0.6, from: 0.94, to: 0.995 },
  { share: 0.25, from: 0.75, to: 0.94 },
  { share: 0.15, from: 0.3, to: 0.75 },
] as const;
/** An hour costs 6 in the middle, two thirds of all between 2.70 and 13.40. */
const PRICE_MEDIAN = 6;
const PRICE_SIGMA = 0.8;
const PRICE_MIN = 0.5;
/** The better ones cost somewhat more. */
const PRICE_OF_RELIABILITY = 1;
const SLOTS = [1, 1, 2, 2, 4] as const;
const CONTEXT = [2_000, 200_000] as const;
/** A worker is at its best over a span of so many times its lower end. */
const BLOOM_SPAN = 8;
const HOURS_MEDIAN = 1.5;
const HOURS_SIGMA = 0.7;
/** How many capabilities a task requires. */
const REQUIRED = [1, 1, 2, 2, 2, 3, 3, 4] as const;
/** A required capability comes from another category than the task's own. */
const FOREIGN = 0.2;
/** Arrivals take so much of all slots. */
const UTILISATION = 0.25;

/** `loss` is taken off every worker's success rate. */
export function workloadOf(seed: number, { size = TASKS, loss = 0 } = {}): Workload {
  const random = seededRandom(seed);
  const dice = diceOf(random);
  const { categories } = readTaxonomy(defaultTaxonomyFile());
  const skills = new Map(
    Object.entries(categories).map(([name, category]) => [
      name,
      Object.keys(category.skills).map((skill) => `${name}:${skill}`),
    ]),
  );
  const workers = Array.from({ length: WORKERS }, (_, n) => workerOf(`w${n}`, skills, loss, dice));
  const slots = workers.reduce((sum, { profile }) => sum + profile.maxConcurrent, 0);
  const meanHours = HOURS_MEDIAN * Math.exp(HOURS_SIGMA ** 2 / 2);
  const perHour = (slots * UTILISATION) / meanHours;
  let at = 0;
  const names = [...skills.keys()];
  const tasks = Array.from({ length: size }, (_, n): SimTask => {
    at += -Math.log(1 - dice.share()) / perHour;
    return {
      need: needOf(`t${n}`, names, skills, dice),
      priority: dice.of([0, 0, 1, 2]),
      arrivesAt: at * HOUR_MS,
    };
  });
  return { workers, tasks };
}

type Dice = ReturnType<typeof diceOf>;

export function diceOf(random: Random) {
  const share = (): number => random.next();
  return {
    share,
    happens: (chance: number): boolean => share() < chance,
    between: ([from, to]: readonly [number, number]): number => from + share() * (to - from),
    of: <T>(list: readonly T[]): T => list[Math.floor(share() * list.length)] as T,
    /** e to a normal number. */
    logNormal: (median: number, sigma: number): number => {
      const normal = Math.sqrt(-2 * Math.log(1 - share())) * Math.cos(2 * Math.PI * share());
      return median * Math.exp(sigma * normal);
    },
    /** As many between 1 and 2 as between 2 and 4. */
    logUniform: ([from, to]: readonly [number, number]): number => from * (to / from) ** share(),
  };
}

function workerOf(
  id: string,
  skills: ReadonlyMap<string, readonly string[]>,
  loss: number,
  dice: Dice,
): SimWorker {
  const breadth = dice.between(BREADTH);
  const trueSkills = new Set<string>();
  const others: string[] = [];
  for (const list of skills.values()) {
    const masters = dice.happens(breadth);
    for (const skill of list) {
      if (masters && dice.happens(SKILL_SHARE)) trueSkills.add(skill);
      else others.push(skill);
    }
  }
  const boasted = dice.happens(BOASTERS) ? others.filter(() => dice.happens(BOAST_SHARE)) : [];
  const reliability = reliabilityOf(dice);
  const price =
    dice.logNormal(PRICE_MEDIAN, PRICE_SIGMA) * Math.exp(PRICE_OF_RELIABILITY * (reliability - 0.85));
  const fromTokens = Math.round(dice.logUniform([CONTEXT[0], CONTEXT[1] / BLOOM_SPAN]));
  return {
    profile: workerProfileSchema.parse({
      id,
      capabilities: [...trueSkills, ...boasted],
      costPerHour: { micros: Math.round(Math.max(PRICE_MIN, price) * MICROS) },
      maxConcurrent: dice.of(SLOTS),
      bloom: { fromTokens, toTokens: fromTokens * BLOOM_SPAN },
    }),
    trueSkills,
    trueReliability: reliability - loss,
    truePace: dice.between([0.8, 1.25]),
  };
}

function reliabilityOf(dice: Dice): number {
  let left = dice.share();
  for (const { share, from, to } of RELIABILITY) {
    if (left < share) return dice.between([from, to]);
    left -= share;
  }
  return RELIABILITY[0].from;
}

function needOf(
  task: string,
  names: readonly string[],
  skills: ReadonlyMap<string, readonly string[]>,
  dice: Dice,
): Need {
  const own = dice.of(names);
  const requires = new Set<string>();
  for (let left = dice.of(REQUIRED); left > 0; left -= 1) {
    const category = dice.happens(FOREIGN) ? dice.of(names) : own;
    requires.add(dice.of(skills.get(category) ?? []));
  }
  return {
    task,
    requires: [...requires],
    hours: Math.max(0.1, dice.logNormal(HOURS_MEDIAN, HOURS_SIGMA)),
    contextTokens: Math.round(dice.logUniform(CONTEXT)),
  };
}
