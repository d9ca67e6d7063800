/** A board as files in a folder: what `infrafabric import` reads. Pure. */
import type { TaskView } from '#schemas/task-view';
import { mirrorFiles } from '../mirror/files.ts';
import { PROGRESS_FILE, progressFile } from './progress-file.ts';

/** Stands in each of them. */
export const EXPORT_MARK = 'Written by `infrafabric export`';
const BOARD_WORDS = `${EXPORT_MARK} from the live board, which \`infrafabric board\` shows. The next export writes it anew.`;

/** Name → text, by name. */
export function exportFiles(tasks: readonly TaskView[], realm: string): ReadonlyMap<string, string> {
  const files = new Map(
    [...mirrorFiles(tasks, realm, BOARD_WORDS)].map(([name, text]) => [name, marked(name, text)] as const),
  );
  const progress = progressFile(tasks);
  if (progress !== undefined) files.set(PROGRESS_FILE, marked(PROGRESS_FILE, progress));
  return new Map([...files].toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

function marked(name: string, text: string): string {
  return name.endsWith('.yaml') ? `# ${EXPORT_MARK}; the next one writes it anew.\n${text}` : text;
}
