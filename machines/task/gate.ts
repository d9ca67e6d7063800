/**
 * The completion gate: what is missing of a task's checklist, by check. Pure, over what was handed in and what the task
 * knows of itself.
 */
import type { CheckResult, Gate, Submission } from '#schemas/completion';
import type { TaskContext } from './context.ts';

/** Of a check. */
const NAMED_MAX = 10;
const NAMED_CHARS_MAX = 160;

type Known = Pick<TaskContext, 'id' | 'worker' | 'helpers' | 'deps' | 'budget' | 'dissent' | 'writes'>;

export function judge(gate: Gate, submission: Submission, task: Known): readonly CheckResult[] {
  const checks = gate.checks.map((check) => result(check, CHECKS[check](submission, task)));
  return [result('artifacts', missingArtifacts(gate, submission)), ...checks];
}

export function passes(results: readonly CheckResult[]): boolean {
  return results.every(({ passed }) => passed);
}

/** It is shown with the task ever after: enough to go on with. */
function result(check: CheckResult['check'], missing: readonly string[]): CheckResult {
  const named = missing.slice(0, NAMED_MAX).map((text) => clipped(text, NAMED_CHARS_MAX));
  const more = missing.length - named.length;
  return { check, passed: missing.length === 0, missing: more > 0 ? [...named, `and ${more} more`] : named };
}

function missingArtifacts({ artifacts }: Gate, submission: Submission): string[] {
  const paths = submission.artifacts.map(({ path }) => path);
  const twice = paths.filter((path, n) => paths.indexOf(path) !== n);
  return [
    ...artifacts
      .filter((kind) => submission.artifacts.every((artifact) => artifact.kind !== kind))
      .map((kind) => `no artifact of kind "${kind}"`),
    ...twice.map((path) => `"${path}" is there twice`),
  ];
}

type Judge = (submission: Submission, task: Known) => string[];

const CHECKS: Readonly<Record<Gate['checks'][number], Judge>> = { ground, witness, ttt, cost, relationships };

/** Every claim cites an artifact that is there. */
function ground({ claims, artifacts }: Submission): string[] {
  const known = new Set(artifacts.map(({ path }) => path));
  return claims.flatMap(({ text, cites }) => {
    if (cites.length === 0) return [`"${short(text)}" cites nothing`];
    return cites
      .filter((path) => !known.has(path))
      .map((path) => `"${short(text)}" cites "${path}", which is no artifact`);
  });
}

/** Every operation has its entry: the export is there, and holds at least as many entries as writes were accepted. */
function witness({ artifacts, entries }: Submission, { writes }: Known): string[] {
  if (!artifacts.some(({ kind }) => kind === 'witness')) return ['no witness export'];
  if (entries === undefined) return ['the number of entries in the witness export'];
  return entries < writes ? [`the witness export holds ${entries} entries of at least ${writes}`] : [];
}

/** Traceable (who says it), transparent (what dissent there was is answered), trustworthy (tests, how sure). */
function ttt(submission: Submission, { worker, dissent }: Known): string[] {
  const missing: string[] = [];
  if (worker === null) missing.push('traceable: nobody has it');
  if (submission.claims.length === 0) missing.push('transparent: no claim says what was done');
  for (const [from, said] of Object.entries(dissent))
    missing.push(`transparent: ${from} said "${said}" and did not agree since`);
  if (submission.testsPass !== true) missing.push('trustworthy: the tests are not said to pass');
  if (submission.confidence === undefined) missing.push('trustworthy: no confidence is given');
  return missing;
}

/** Cost within the budget of the task. */
function cost({ costMicros }: Submission, { budget }: Known): string[] {
  if (costMicros === undefined) return ['what it cost'];
  const limit = budget?.costMicros;
  if (limit === undefined || costMicros <= limit) return [];
  return [`it cost ${costMicros} millionths; ${limit} were granted`];
}

/** The task's relationships to its worker, its helpers and what it depends on are mapped. */
function relationships(
  { relationships: mapped }: Submission,
  { id, worker, helpers, deps }: Known,
): string[] {
  const self = `task/${id}`;
  const others = [...(worker === null ? [] : [worker]), ...helpers, ...deps.map((dep) => `task/${dep}`)];
  return others
    .filter(
      (other) =>
        !mapped.some(({ from, to }) => (from === self && to === other) || (from === other && to === self)),
    )
    .map((other) => `no relationship between ${self} and ${other}`);
}

function short(text: string): string {
  return clipped(text, 60);
}

function clipped(text: string, max: number): string {
  return text.length <= max ? text : `${text.slice(0, max - 1).toWellFormed()}…`;
}
