/** `import`: boards of the old way, onto the live one. */
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { declare, handle, type Shell } from '#runtime/cli/command';
import { cliErrors } from '#runtime/cli/errors';
import { EXIT } from '#runtime/cli/exit-codes';
import type { Out } from '#runtime/cli/io';
import { cut, plural } from '#runtime/cli/render/format';
import { formatPlace } from '#runtime/supervise/problems';
import { FabricError } from '#schemas/fabric-error';
import { applyPlan, type Refusal } from '../import/apply.ts';
import type { Remark } from '../import/facts.ts';
import { type ImportPlan, planImport } from '../import/plan.ts';
import { readFiles, type SourceFile } from '../import/read.ts';
import { type ActingOptions, withActing, withDesk } from './with-desk.ts';

interface Options extends ActingOptions {
  readonly dryRun?: boolean;
}

export function importCommand(shell: Shell): Command {
  const command = declare({
    name: 'import',
    summary: 'bring task boards and status files of the old way onto the board',
    description:
      'Reads task boards (Markdown tables, YAML), STATUS-*.yaml and progress.yaml, compares them with the board, shows the difference and carries it out: new tasks are added, and tasks stand as the files say they do. With a problem in any file nothing is imported, and each is named with its line and column. A second run changes nothing.',
    group: 'Work',
    examples: [
      ['infrafabric import board.md STATUS-*.yaml --dry-run', 'only show the difference'],
      ['infrafabric import board.md STATUS-*.yaml progress.yaml', 'make it so'],
    ],
  })
    .argument('<files...>', 'what to read: .md, .yaml, .yml')
    .option('-n, --dry-run', 'only show what would change');
  return handle<[readonly string[]], Options>(shell, withActing(command), async (run, files) => {
    const { options, io, out } = run;
    const sources = await Promise.all(files.map((file) => read(file, io.cwd)));
    return await withDesk(run, async (desk) => {
      const [tasks, sessions] = await Promise.all([desk.tasks(), desk.sessions()]);
      const wanted = readFiles(sources, new Map(tasks.map(({ id, deps }) => [id, deps])));
      const plan = planImport(wanted, tasks, sessions);
      const refusals = options.dryRun === true ? [] : await applyPlan(plan, desk);
      tell(plan, wanted.remarks, refusals, options.dryRun === true, out);
      return refusals.length > 0 ? EXIT.refused : EXIT.ok;
    });
  });
}

function tell(
  { changes, same }: ImportPlan,
  remarks: readonly Remark[],
  refusals: readonly Refusal[],
  isDry: boolean,
  out: Out,
): void {
  const { palette } = out;
  for (const change of changes) out.data(change);
  const paint = { '+': palette.good, '~': palette.name, '!': palette.warn };
  out.lines(
    changes.map(({ sign, on, what, place }) =>
      `${paint[sign](sign)} ${on}  ${cut(what, 120)}  ${palette.faint(formatPlace(place))}`.trimEnd(),
    ),
  );
  for (const { what, ...place } of remarks) out.note(`${formatPlace(place)}: ${what}`);
  for (const { step, reason } of refusals)
    out.note(
      `${palette.bad('refused')} ${step.event.type} by ${step.as ?? 'you'}: ${step.address}: ${reason}`,
    );
  const count = (sign: string): number => changes.filter((change) => change.sign === sign).length;
  const [added, changed, left] = [count('+'), count('~'), count('!')];
  const refused = refusals.map(({ step, reason }) => ({
    on: step.address,
    event: step.event.type,
    as: step.as,
    reason,
  }));
  out.data({ dryRun: isDry, added, changed, left, same, refused });
  const words = [
    ...(added > 0 ? [`${added} new`] : []),
    ...(changed > 0 ? [`${changed} changed`] : []),
    ...(left > 0 ? [`${left} left as they are`] : []),
    ...(refused.length > 0 ? [`${refused.length} refused`] : []),
    `${same} the same`,
  ];
  const none = added + changed === 0;
  out.lines([
    `${none ? 'Nothing to change' : isDry ? 'Would change' : 'Imported'}: ${words.join(', ')}.`,
    ...(isDry && !none ? [`Leave --dry-run out to carry out ${plural(added + changed, 'change')}.`] : []),
  ]);
}

async function read(file: string, cwd: string): Promise<SourceFile> {
  try {
    return { file, text: await readFile(resolve(cwd, file), 'utf8') };
  } catch (cause) {
    throw new FabricError(cliErrors.file_unreadable, `${file} cannot be read`, { details: { file }, cause });
  }
}
