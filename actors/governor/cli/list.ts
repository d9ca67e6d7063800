/** `governor list`: the workers, and what their work showed. */
import type { Command } from 'commander';
import { type ActingOptions, withActing, withDesk } from '#actors/coordinator/cli/with-desk';
import { reputationAt } from '#machines/registry/reputation';
import { declare, handle, type Shell } from '#runtime/cli/command';
import { EXIT } from '#runtime/cli/exit-codes';
import type { Out } from '#runtime/cli/io';
import { cut } from '#runtime/cli/render/format';
import { type Column, table } from '#runtime/cli/render/table';
import { formatMoney } from '#schemas/money';
import type { WorkerView } from '#schemas/worker';
import { workersOf } from '../registry/workers.ts';

interface Options extends ActingOptions {
  readonly capability?: string;
}

const COLUMNS: readonly Column[] = [
  { title: 'WORKER' },
  { title: 'REPUTATION', align: 'right' },
  { title: 'DONE', align: 'right' },
  { title: 'FAILED', align: 'right' },
  { title: 'LOAD', align: 'right' },
  { title: 'PER HOUR', align: 'right' },
  { title: 'BREAKER' },
  { title: 'CAN' },
];

export function listCommand(shell: Shell): Command {
  const command = declare({
    name: 'list',
    summary: 'list registered workers, with what their work showed',
    group: 'Work',
    examples: [
      ['infrafabric governor list', 'all of them'],
      ['infrafabric governor list --capability integration:sip', 'who has it'],
    ],
  }).option('--capability <name>', 'only who has this capability');
  return handle<[], Options>(shell, withActing(command), async (run) => {
    const { options, out } = run;
    return await withDesk(run, async ({ realm }) => {
      const workers = (await workersOf(realm)).filter(
        ({ profile }) =>
          options.capability === undefined || profile?.capabilities.includes(options.capability) === true,
      );
      const now = realm.now();
      for (const worker of workers)
        out.data({ ...worker, reputationNow: reputationAt(worker.reputation, now) });
      out.lines(
        workers.length === 0
          ? ['No worker is registered. `infrafabric governor register --help` shows how one is.']
          : table(
              COLUMNS,
              workers.map((worker) => rowOf(worker, now, out)),
              out,
            ),
      );
      return EXIT.ok;
    });
  });
}

function rowOf(worker: WorkerView, now: number, { palette }: Out): string[] {
  const { id, status, profile, reputation, completed, failed, tasks, breaker } = worker;
  const { micros = 0, currency = '' } = profile?.costPerHour ?? {};
  return [
    status === 'registered' ? palette.name(cut(id, 60)) : palette.faint(`${cut(id, 60)} (${status})`),
    reputationAt(reputation, now).toFixed(2),
    String(completed),
    String(failed),
    `${tasks.length}/${profile?.maxConcurrent ?? 0}`,
    `${formatMoney(micros)} ${currency}`,
    breaker === 'closed' ? palette.faint(breaker) : palette.bad(breaker),
    cut(profile?.capabilities.join(', ') ?? '', 120),
  ];
}
