/** `policy check`. */
import type { Command } from 'commander';
import { declare, handle, type Shell } from '#runtime/cli/command';
import { EXIT } from '#runtime/cli/exit-codes';
import { formatPlace } from '#runtime/supervise/problems';
import { compilePolicy } from '../policy.ts';
import { readPolicyFile } from './file.ts';

interface Options {
  readonly strict?: boolean;
}

export function checkCommand(shell: Shell): Command {
  const command = declare({
    name: 'check',
    summary: 'what is wrong with a policy, and which rules mean nothing',
    description:
      'Reads a policy, compiles it to Cedar and has Cedar validate it; needs no realm. What is wrong ends it with exit code 1. Rules that another covers, that never match, or a policy that nobody could replace are told as well, and count as wrong with --strict.',
    group: 'Work',
    examples: [['infrafabric policy check policy.yaml --strict', 'in a pipeline']],
  })
    .argument('<file>', 'the policy')
    .option('--strict', 'findings count as wrong');
  return handle<[string], Options>(shell, command, async ({ io, out, options }, file) => {
    using policy = await compilePolicy(readPolicyFile(file, io), { name: file });
    const { sha256, findings } = policy;
    const { rules } = policy.file;
    const ok = findings.length === 0 || options.strict !== true;
    out.data({ ok, file, sha256, rules: rules.length, findings });
    for (const { place, what, rule } of findings)
      out.lines([`${out.palette.warn('!')} ${formatPlace(place)}: ${rule}: ${what}`]);
    const sign = ok ? out.palette.good('✓') : out.palette.bad('✗');
    out.lines([`${sign} ${file}: ${rules.length} rules, SHA-256 ${sha256}`]);
    return ok ? EXIT.ok : EXIT.failure;
  });
}
