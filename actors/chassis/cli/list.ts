/** `chassis list`: the components of a realm and how they keep their promises, or the tasks of one. */
import type { Command } from 'commander';
import { type ActingOptions, withActing, withDesk } from '#actors/coordinator/cli/with-desk';
import { contextsOf } from '#actors/coordinator/views';
import { type ComponentContext, componentView } from '#machines/component/context';
import { reputationAt } from '#machines/registry/reputation';
import { declare, handle, type Shell, wholeNumber } from '#runtime/cli/command';
import { EXIT } from '#runtime/cli/exit-codes';
import type { Out } from '#runtime/cli/io';
import type { Realm } from '#runtime/cli/realm';
import { type Column, table } from '#runtime/cli/render/table';
import { SANDBOX_TYPE, type SandboxView } from '#schemas/sandbox';
import { COMPONENT_TYPE } from '#schemas/service-contract';
import { componentAddress } from './realm.ts';
import { count, sloLine } from './say.ts';

interface Options extends ActingOptions {
  readonly limit: number;
}

const LIMIT_DEFAULT = 50;
const COMPONENTS: readonly Column[] = [
  { title: 'COMPONENT' },
  { title: 'VERSION' },
  { title: 'STATUS' },
  { title: 'TASKS', align: 'right' },
  { title: 'REPUTATION', align: 'right' },
  { title: 'PROMISES' },
];
const TASKS: readonly Column[] = [
  { title: 'TASK' },
  { title: 'STATUS' },
  { title: 'EXIT' },
  { title: 'FUEL', align: 'right' },
  { title: 'MS', align: 'right' },
  { title: 'CALLS', align: 'right' },
  { title: 'TENANT' },
];

export function listCommand(shell: Shell): Command {
  const command = declare({
    name: 'list',
    summary: 'list components and how they keep their promises, or the tasks of one',
    group: 'Work',
    examples: [
      ['infrafabric chassis list', 'the components'],
      ['infrafabric chassis list word-count', 'its last tasks'],
    ],
  })
    .argument('[component]', 'whose tasks')
    .option('-n, --limit <n>', 'tasks shown; 0 for all', wholeNumber, LIMIT_DEFAULT);
  return handle<[string?], Options>(shell, withActing(command), async (run, name) => {
    const { out, options } = run;
    return await withDesk(run, async ({ realm }) => {
      if (name === undefined) await listComponents(realm, out);
      else await listTasks(realm, name, options.limit, out);
      return EXIT.ok;
    });
  });
}

async function listComponents(realm: Realm, out: Out): Promise<void> {
  const views = (await known(realm, COMPONENT_TYPE)).map((context) =>
    componentView(context as ComponentContext),
  );
  for (const view of views) out.data(view);
  const now = realm.now();
  const rows = views.map((view) => [
    view.id,
    view.contract?.version ?? '',
    view.status,
    count(view.submitted),
    reputationAt(view.reputation, now).toFixed(2),
    sloLine(view, out),
  ]);
  out.lines(
    rows.length === 0
      ? ['No component is published. `infrafabric chassis new` begins one.']
      : table(COMPONENTS, rows, out),
  );
}

async function listTasks(realm: Realm, name: string, limit: number, out: Out): Promise<void> {
  const views = ((await known(realm, SANDBOX_TYPE)) as SandboxView[]).filter(
    ({ of }) => of === componentAddress(name),
  );
  views.sort((a, b) => (a.queuedAt ?? 0) - (b.queuedAt ?? 0));
  const shown = limit === 0 ? views : views.slice(-limit);
  for (const view of shown) out.data(view);
  const rows = shown.map(({ id, status, run, task }) => [
    id,
    status,
    run?.exit ?? '',
    run === null ? '' : count(run.fuel),
    run === null ? '' : run.ms.toFixed(2),
    run === null ? '' : count(run.hostCalls),
    task?.tenant ?? '',
  ]);
  out.lines(rows.length === 0 ? [`No task was submitted to ${name}.`] : table(TASKS, rows, out));
}

async function known({ connection, subjects, ...realm }: Realm, type: string): Promise<unknown[]> {
  return await contextsOf({ nc: connection, subjects, shards: await realm.shardCount() }, type);
}
