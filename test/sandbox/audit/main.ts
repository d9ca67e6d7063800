/** `npm run audit:chassis`: carries out every attack and writes docs/chassis-audit.md. */
import { writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { stdout } from 'node:process';
import { fileURLToPath } from 'node:url';
import { Jail } from '#runtime/sandbox/jail/pool';
import { allAttacks, carryOut, type Finding } from './audit.ts';
import { feel, measureLateness } from './neighbours.ts';
import { auditPage } from './page.ts';

const PAGE = fileURLToPath(new URL('../../../docs/chassis-audit.md', import.meta.url));

await using jail = await Jail.open({ require: 'any' });
const findings: Finding[] = [];
for (const attack of allAttacks()) {
  const finding = await carryOut(jail, attack);
  findings.push(finding);
  stdout.write(
    `${finding.isContained ? 'contained' : 'NOT CONTAINED'}  ${finding.group}: ${finding.name} (${finding.ended})\n`,
  );
}
const neighbours = await feel(jail);
const lateness = await measureLateness(jail);
const machine = `${cpus()[0]?.model ?? 'unknown'}, ${cpus().length} cores, Node ${process.versions.node}`;
writeFileSync(PAGE, auditPage({ layers: jail.layers, findings, neighbours, lateness, machine }));
const open = findings.filter(({ isContained }) => !isContained).length;
stdout.write(`${findings.length} attacks, ${open} not contained\n`);
process.exitCode = open === 0 ? 0 : 1;
