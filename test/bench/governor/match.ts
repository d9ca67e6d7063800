/** Who should do it, among ten thousand workers: the index asked, and asked while workers change. */
import { WorkerIndex } from '#actors/governor/registry/worker-index';
import { seededRandom } from '#runtime/testing/seeded-random';
import type { Need } from '#schemas/assignment';
import { type WorkerView, workerProfileSchema } from '#schemas/worker';
import { type Figures, figures } from '../measure.ts';
import { row } from '../row.ts';
import type { Suite } from '../suite.ts';

const WORKERS = 10_000;
const SKILLS = 60;
/** Capabilities of a worker: half of all, so that thousands share each. */
const SHARE = 0.5;
const QUESTIONS = 5_000;
const WARM_UP = 200;
const NAME = `match among ${WORKERS} workers`;
const NOW = Date.parse('2026-01-05T00:00:00Z');

export const match: Suite = {
  benches: [NAME],
  async *run(wanted, { scale }) {
    if (!wanted(NAME)) return;
    const random = seededRandom(7);
    const skill = (): string => `area:s${Math.floor(random.next() * SKILLS)}`;
    const index = new WorkerIndex();
    for (let n = 0; n < WORKERS; n += 1) index.set(workerOf(n, random.next));
    const count = Math.max(WARM_UP, Math.ceil(QUESTIONS * scale));
    for (const required of [0, 1, 3, 6]) {
      const needs = Array.from({ length: count }, (_, n): Need => {
        const requires = [...new Set(Array.from({ length: required }, skill))];
        return { task: `t${n}`, requires, hours: 2, contextTokens: 20_000 };
      });
      yield row(`${NAME}, ${required} capabilities required`, {
        ...timed(needs, (need) => void index.rank(need, NOW)),
      });
    }
    const needs = Array.from({ length: count }, (_, n): Need => {
      return { task: `t${n}`, requires: [...new Set([skill(), skill()])], hours: 2, contextTokens: null };
    });
    yield row(`${NAME}, a worker changed before each question`, {
      ...timed(needs, (need) => {
        index.set(workerOf(Math.floor(random.next() * WORKERS), random.next));
        index.rank(need, NOW);
      }),
    });
  },
};

function timed(needs: readonly Need[], ask: (need: Need) => void): Figures {
  for (const need of needs.slice(0, WARM_UP)) ask(need);
  const latencies = new Float64Array(needs.length);
  const began = performance.now();
  for (const [n, need] of needs.entries()) {
    const start = performance.now();
    ask(need);
    latencies[n] = performance.now() - start;
  }
  const elapsedMs = performance.now() - began;
  return figures({ ops: needs.length, elapsedMs, latencies: latencies.sort() });
}

function workerOf(n: number, random: () => number): WorkerView {
  const id = `w${n}`;
  const capabilities = Array.from({ length: SKILLS }, (_, s) => `area:s${s}`).filter(() => random() < SHARE);
  return {
    id,
    status: 'registered',
    profile: workerProfileSchema.parse({
      id,
      capabilities,
      costPerHour: { micros: Math.round(1e6 + random() * 30e6) },
      bloom: { fromTokens: 4_000, toTokens: 64_000 },
    }),
    taxonomyVersion: 1,
    reputation: { value: 0.5 + random() / 2, at: NOW - random() * 1e9 },
    completed: 0,
    failed: 0,
    tasks: random() < 0.3 ? ['t'] : [],
    idleSince: NOW,
    breaker: 'closed',
    budgetLeftMicros: null,
    last: null,
    changedAt: null,
  };
}
