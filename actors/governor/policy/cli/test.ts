/** `policy test`. */
import type { Command } from 'commander';
import { declare, handle, type Shell } from '#runtime/cli/command';
import { EXIT } from '#runtime/cli/exit-codes';
import { table } from '#runtime/cli/render/table';
import { runCases } from '../cases.ts';
import { compilePolicy } from '../policy.ts';
import { readPolicyFile } from './file.ts';

const COLUMNS = ['', 'case', 'expected', 'decided', 'by'].map((title) => ({ title }));

export function testCommand(shell: Shell): Command {
  const command = declare({
    name: 'test',
    summary: 'try a policy on cases: requests, and what has to become of them',
    description:
      'Decides every request of a cases file and compares the outcome and, where a case names one, the rule. Needs no realm. Exit code 1 where a case fails.',
    group: 'Work',
    examples: [['infrafabric policy test policy.yaml cases.yaml --json', 'for other programs']],
  })
    .argument('<policy>', 'the policy')
    .argument('<cases>', 'file with `cases`');
  return handle<[string, string], object>(shell, command, async ({ io, out }, file, casesFile) => {
    using policy = await compilePolicy(readPolicyFile(file, io), { name: file });
    const results = runCases(policy, readPolicyFile(casesFile, io), casesFile);
    const failed = results.filter(({ passed }) => !passed);
    for (const result of results) out.data(result);
    const rows = results.map(({ passed, name, line, expect, rule, decision }) => [
      passed ? out.palette.good('✓') : out.palette.bad('✗'),
      passed ? name : `${name} (${casesFile}:${line})`,
      rule === undefined ? expect : `${expect} by ${rule}`,
      decision.outcome,
      decision.rules.join(', '),
    ]);
    out.lines(table(COLUMNS, rows, out));
    out.lines([`${results.length - failed.length} passed, ${failed.length} failed`]);
    return failed.length === 0 ? EXIT.ok : EXIT.failure;
  });
}
