/** The dependency graph as Mermaid, which GitHub and many editors draw. */
import { criticalPath } from '../graph/critical-path.ts';
import type { TaskGraph } from '../graph/graph.ts';
import { type PictureTask, SHOWN_STATUSES, statusSign, statusWord, workerName } from './task.ts';

/** Fill and line per status, to be read on white and on black. */
const CLASSES: Readonly<Record<string, string>> = {
  completed: 'fill:#2da44e33,stroke:#2da44e',
  in_progress: 'fill:#0969da33,stroke:#0969da',
  claimed: 'fill:#0969da22,stroke:#0969da,stroke-dasharray:4',
  blocked: 'fill:#d2992233,stroke:#d29922',
  failed: 'fill:#cf222e33,stroke:#cf222e',
  available: 'fill:#8c959f22,stroke:#8c959f',
};
const CLASS_DEFAULT = 'fill:#8c959f11,stroke:#8c959f,stroke-dasharray:4';

/** A `flowchart`; what most work waits behind, the `path`, is drawn with thick lines. */
export function mermaid(
  graph: TaskGraph<PictureTask>,
  path: readonly string[] = criticalPath(graph).ids,
): string {
  const names = new Map([...graph.nodes.keys(), ...graph.missing].map((id, n) => [id, `t${n}`]));
  const critical = new Set(path.slice(1).map((id, n) => `${path[n]}\n${id}`));
  const lines = ['flowchart LR'];
  for (const { task } of graph.nodes.values()) {
    const { id, title, status, worker, milestone } = task;
    const state = status === 'in_progress' ? `${milestone} %` : statusWord(status);
    const who = worker === null ? '' : ` · ${workerName(worker)}`;
    const label = [`${statusSign(status)} ${id}`, title, `${state}${who}`].filter((text) => text !== '');
    lines.push(`  ${names.get(id)}["${label.map(escaped).join('<br/>')}"]:::${classOf(status)}`);
  }
  for (const id of graph.missing) lines.push(`  ${names.get(id)}["? ${escaped(id)}<br/>unknown"]:::absent`);
  for (const [id, { deps }] of graph.nodes) {
    for (const dep of deps) {
      const arrow = critical.has(`${dep}\n${id}`) ? '==>' : '-->';
      lines.push(`  ${names.get(dep)} ${arrow} ${names.get(id)}`);
    }
  }
  for (const status of SHOWN_STATUSES) {
    lines.push(`  classDef ${classOf(status)} ${CLASSES[status] ?? CLASS_DEFAULT}`);
  }
  return `${lines.join('\n')}\n`;
}

/** Mermaid's own entities: whatever else it may read as syntax or as HTML is a number. */
function escaped(text: string): string {
  return text
    .toWellFormed()
    .replace(/\p{Cc}/gu, ' ')
    .replace(/["#&;<>\\`[\]{}|]/g, (sign) => `#${sign.codePointAt(0)};`);
}

function classOf(status: string): string {
  return status.replaceAll(/[^a-z]/g, '');
}
