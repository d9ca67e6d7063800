/** `round`: rounds of weighted coordination, and the manifests that say how they were decided. */
import { writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import canonicalize from 'canonicalize';
import type { Command } from 'commander';
import { declare, handle, type Shell } from '#runtime/cli/command';
import { EXIT, Refused } from '#runtime/cli/exit-codes';
import type { Out } from '#runtime/cli/io';
import { cut, plural } from '#runtime/cli/render/format';
import { type Column, table } from '#runtime/cli/render/table';
import { FabricError } from '#schemas/fabric-error';
import { ROUND_TYPE, type RoundView } from '#schemas/round';
import { digestOf } from '../digest-driver.ts';
import { coordinatorErrors } from '../errors.ts';
import { type ActingOptions, type OpenDesk, withActing, withDesk } from './with-desk.ts';

export function roundCommand(shell: Shell): Command {
  return declare({
    name: 'round',
    summary: 'who should have a task by confidence × weight × match, and why',
    group: 'Work',
    examples: [
      ['infrafabric round list', 'all of them'],
      ['infrafabric round show r1', 'bids, scores and the winner'],
      ['infrafabric round export r1 r1.json', 'the manifest of one, as it was hashed'],
    ],
  })
    .addCommand(listCommand(shell))
    .addCommand(showCommand(shell))
    .addCommand(exportCommand(shell));
}

function listCommand(shell: Shell): Command {
  const command = declare({
    name: 'list',
    summary: 'list rounds',
    group: 'Work',
    examples: [['infrafabric round list --json', 'for other programs']],
  });
  return handle<[], ActingOptions>(shell, withActing(command), async (run) => {
    const { out } = run;
    return await withDesk(run, async (desk) => {
      const rounds: RoundView[] = [];
      for await (const { address, value } of desk.realm.actors({ type: ROUND_TYPE }))
        if (value !== 'absent') rounds.push(await roundOf(desk, address.slice(ROUND_TYPE.length + 1)));
      for (const round of rounds) out.data(round);
      out.lines(rounds.length === 0 ? ['No round was opened yet.'] : roundTable(rounds, out));
      return EXIT.ok;
    });
  });
}

function showCommand(shell: Shell): Command {
  const command = declare({
    name: 'show',
    summary: 'one round: its bids, and how they were weighed',
    group: 'Work',
    examples: [['infrafabric round show r1', 'the best first']],
  }).argument('<id>', 'the round');
  return handle<[string], ActingOptions>(shell, withActing(command), async (run, named) => {
    const { out } = run;
    return await withDesk(run, async (desk) => {
      const round = await roundOf(desk, idOf(named));
      out.data(round);
      out.lines(roundLines(round, out));
      return EXIT.ok;
    });
  });
}

function exportCommand(shell: Shell): Command {
  const command = declare({
    name: 'export',
    summary: 'the manifest of a decided round, in the bytes that its SHA-256 is of',
    description:
      'Writes the manifest of a decided round: inputs, rule, scores and winner as RFC 8785 JSON, without a newline at its end, so that `sha256sum` of the file gives what the log says. Without a file it goes to stdout.',
    group: 'Work',
    examples: [
      ['infrafabric round export r1 r1.json && sha256sum r1.json', 'the hash that `round show` names'],
      ['infrafabric round export r1 | jq .results', 'how they were weighed'],
    ],
  })
    .argument('<id>', 'the round')
    .argument('[file]', 'where it goes; stdout when absent');
  return handle<[string, string | undefined], ActingOptions>(
    shell,
    withActing(command),
    async (run, named, file) => {
      const { io, out } = run;
      return await withDesk(run, async (desk) => {
        const { id, manifest, sha256 } = await roundOf(desk, idOf(named));
        if (manifest === null || sha256 !== digestOf(manifest))
          throw new Refused(
            new FabricError(coordinatorErrors.round_open, `There is no manifest of round ${id} yet`),
          );
        const text = canonicalize(manifest) ?? '';
        if (file === undefined) {
          io.stdout.write(text);
          return EXIT.ok;
        }
        const path = resolve(io.cwd, file);
        try {
          await writeFile(path, text);
        } catch (cause) {
          throw new FabricError(coordinatorErrors.export_failed, `Cannot write ${file}`, {
            details: { file: path },
            cause,
          });
        }
        out.data({ ok: true, round: id, file: path, sha256 });
        out.lines([`${out.palette.good('✓')} ${file}  SHA-256 ${sha256}`]);
        return EXIT.ok;
      });
    },
  );
}

/** Throws `unknown_round`. */
async function roundOf(desk: OpenDesk, id: string): Promise<RoundView> {
  try {
    return (await desk.clientOf(desk.as).ask(`${ROUND_TYPE}/${id}`, { type: 'round.get' }))
      .reply as RoundView;
  } catch (thrown) {
    throw thrown instanceof FabricError && thrown.code === 'unknown_round' ? new Refused(thrown) : thrown;
  }
}

function idOf(named: string): string {
  return named.replace(/^round\//, '');
}

const COLUMNS: readonly Column[] = [
  { title: 'ROUND' },
  { title: 'STATUS' },
  { title: 'BIDS', align: 'right' },
  { title: 'TASK' },
  { title: 'WINNER' },
];

function roundTable(rounds: readonly RoundView[], place: Out): string[] {
  const rows = rounds.map(({ id, status, bids, manifest }) => [
    place.palette.name(cut(id, 60)),
    status,
    String(bids),
    cut(manifest?.task ?? '', 60),
    cut(winnerOf(manifest) ?? '', 60),
  ]);
  return table(COLUMNS, rows, place);
}

const RESULT_COLUMNS: readonly Column[] = [
  { title: 'SESSION' },
  { title: 'CONFIDENCE', align: 'right' },
  { title: 'WEIGHT', align: 'right' },
  { title: 'MATCH', align: 'right' },
  { title: 'SCORE', align: 'right' },
];

function roundLines({ id, status, bids, manifest, sha256 }: RoundView, place: Out): string[] {
  const { palette } = place;
  const head = `${palette.strong(cut(id, 60))}  ${status}, ${plural(bids, 'bid')}`;
  if (manifest === null) return [head];
  const rows = manifest.results.map(({ session, match, score }) => {
    const bid = manifest.inputs.find((one) => one.session === session);
    return [
      session === manifest.winner ? palette.good(cut(session, 60)) : cut(session, 60),
      figure(bid?.confidence),
      figure(bid?.weight),
      figure(match),
      figure(score),
    ];
  });
  return [
    head,
    `  task      ${cut(manifest.task ?? '–', 60)}`,
    `  requires  ${cut(manifest.config.requires.join(', ') || 'nothing', place.width - 12)}`,
    `  winner    ${cut(winnerOf(manifest) ?? '', 60)}`,
    ...(sha256 === null ? [] : [`  SHA-256   ${sha256}`]),
    ...(rows.length === 0 ? [] : ['', ...table(RESULT_COLUMNS, rows, place)]),
  ];
}

function winnerOf(manifest: RoundView['manifest']): string | undefined {
  return manifest === null ? undefined : (manifest.winner ?? 'nobody');
}

function figure(value: number | undefined): string {
  return value === undefined ? '–' : value.toFixed(2);
}
