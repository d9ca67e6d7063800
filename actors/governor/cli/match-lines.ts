/** A ranking as tables: candidates with their factors, and who is refused by what. */
import type { Out } from '#runtime/cli/io';
import { cut, plural } from '#runtime/cli/render/format';
import { type Column, table } from '#runtime/cli/render/table';
import { type AssignmentRules, FILTERS, type Ranking, type Refusal, type Verdict } from '#schemas/assignment';
import { formatMoney } from '#schemas/money';

const FACTORS: readonly Column[] = [
  { title: 'WORKER' },
  { title: 'SCORE', align: 'right' },
  { title: 'MATCH', align: 'right' },
  { title: 'REPUTATION', align: 'right' },
  { title: 'BLOOM', align: 'right' },
  { title: 'PER HOUR', align: 'right' },
  { title: 'ESTIMATE', align: 'right' },
  { title: 'LOAD', align: 'right' },
  { title: 'BUDGET LEFT', align: 'right' },
];
const REFUSED: readonly Column[] = [{ title: 'WORKER' }, { title: 'REFUSED BY' }];

/** `verdicts`: everyone, where the refused are wanted too. */
export function matchLines(
  ranking: Ranking,
  verdicts: readonly Verdict[],
  currency: string,
  rules: AssignmentRules,
  out: Out,
): string[] {
  const { need, candidates, candidateCount, refusedCount, refused } = ranking;
  const wanted = need.requires.length === 0 ? 'nothing in particular' : need.requires.join(', ');
  const title = `${need.task === '' ? 'Required' : `task/${need.task} requires`}: ${wanted}; ${need.hours} h`;
  const counts = FILTERS.flatMap((filter) => {
    const count = refused[filter];
    return count === undefined ? [] : [`${filter} ${count}`];
  });
  const refusedOnes = verdicts.filter(({ refusals }) => refusals.length > 0);
  return [
    out.palette.strong(cut(title, out.width)),
    ...(candidates.length === 0
      ? ['Nobody can be given it.']
      : table(
          FACTORS,
          candidates.map((verdict) => factorRow(verdict)),
          out,
        )),
    ...(candidateCount > candidates.length ? [`… and ${candidateCount - candidates.length} more`] : []),
    '',
    candidateCount + refusedCount === 0
      ? 'No worker is registered: `infrafabric governor register --help` shows how one is.'
      : refusedCount === 0
        ? 'Nobody was refused.'
        : `${plural(refusedCount, 'worker was', 'workers were')} refused, first by: ${counts.join(', ')}.`,
    ...(refusedOnes.length === 0
      ? []
      : table(
          REFUSED,
          refusedOnes.map(({ worker, refusals }) => [
            worker,
            refusals.map((refusal) => refusalText(refusal)).join('; '),
          ]),
          out,
        )),
    out.palette.faint(
      `score = match × reputation × bloom fit ÷ price an hour (${currency}); candidates have match ≥ ${rules.matchMin}, reputation ≥ ${rules.reputationMin}`,
    ),
  ];
}

function factorRow({ worker, factors }: Verdict): string[] {
  if (factors === null) return [worker];
  const { score, match, reputation, bloomFit, pricePerHourMicros, estimateMicros, load, maxConcurrent } =
    factors;
  return [
    cut(worker, 60),
    score.toPrecision(3),
    match.toFixed(2),
    reputation.toFixed(2),
    bloomFit.toFixed(2),
    formatMoney(pricePerHourMicros),
    formatMoney(estimateMicros),
    `${load}/${maxConcurrent}`,
    factors.budgetLeftMicros === null ? 'no limit' : formatMoney(factors.budgetLeftMicros),
  ];
}

function refusalText({ filter, is, wants }: Refusal): string {
  const figure = (value: string | number | null): string => {
    if (value === null) return 'nobody';
    if (typeof value === 'string') return value;
    return filter === 'budget' ? formatMoney(value) : value.toFixed(2).replace(/\.00$/, '');
  };
  return `${filter} ${figure(is)}, wanted ${figure(wants)}`;
}
