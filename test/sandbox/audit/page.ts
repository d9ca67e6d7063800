/** The page of the audit, from what was found. */
import type { Layer } from '#runtime/sandbox/jail/layers';
import type { Finding } from './audit.ts';
import type { Feeling } from './neighbours.ts';

export interface Audit {
  readonly layers: readonly Layer[];
  readonly findings: readonly Finding[];
  readonly neighbours: { readonly alone: Feeling; readonly besides: Feeling };
  readonly lateness: Feeling;
  readonly machine: string;
}

export function auditPage({ layers, findings, neighbours, lateness, machine }: Audit): string {
  const groups = Map.groupBy(findings, ({ group }) => group);
  const contained = findings.filter(({ isContained }) => isContained).length;
  return `# Attacks on the jail

Written by \`npm run audit:chassis\`; do not edit. A sandboxed task runs where every layer has to fail before it reaches
anything: the gate reads and meters the component, WebAssembly confines it, the process that runs it has no modules, no
clock and no code from text, and that process is behind these layers:

| layer | here |
|---|---|
${layers.map(({ name, isOn, seen }) => `| ${name} | ${isOn ? seen : `missing: ${seen}`} |`).join('\n')}

\`infrafabric doctor\` shows them on yours. A layer that is missing is told; with \`require: full\` no task runs without all
of them. The cgroup layer needs a group that the node may divide: as root with cgroup version 1, or with version 2 under
systemd with \`Delegate=yes\` and \`DelegateSubgroup=node\`.

**${contained} of ${findings.length} attacks were contained**, each with the end that it should have. The groups go from
outside in: guests that pass the gate; components built against it; code as if it had slipped through into the generated
JavaScript; a process as if it were taken over whole, by what it says to its parent and by what it reaches of the machine,
the latter once more with Node's own permissions off.

${[...groups].map(([group, found]) => groupTable(group, found)).join('\n\n')}

## Neighbours
Four hundred short tasks of one tenant, one after the other, alone and while three tenants loop without an end (${machine}):

| | p50 ms | p99 ms |
|---|---|---|
${feelingRow('alone', neighbours.alone)}
${feelingRow('beside three endless loops', neighbours.besides)}

## Runaways
From the time limit of an endless loop until every thread of its process is on its way out of the kernel, and that is told: p50 ${lateness.p50Ms.toFixed(1)} ms,
p99 ${lateness.p99Ms.toFixed(1)} ms.
`;
}

function groupTable(group: string, found: readonly Finding[]): string {
  const rows = found.map(
    ({ name, ended, isContained }) => `| ${name} | ${isContained ? '' : '**not contained** '}${ended} |`,
  );
  return `## ${group.charAt(0).toUpperCase()}${group.slice(1)}\n| attack | end |\n|---|---|\n${rows.join('\n')}`;
}

function feelingRow(name: string, { p50Ms, p99Ms }: Feeling): string {
  return `| ${name} | ${p50Ms.toFixed(2)} | ${p99Ms.toFixed(2)} |`;
}
