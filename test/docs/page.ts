/** A page of documentation as what it shows: blocks of commands, files, configs and code. */
import { readFileSync } from 'node:fs';

export interface Command {
  readonly line: string;
  /** Lines of output; `…` stands for what varies, alone on a line for any lines. */
  readonly expected: readonly string[];
}

export interface Block {
  readonly language: string;
  /** Marked as a part of something: not whole enough to run. */
  readonly isFragment: boolean;
  readonly text: string;
  /** Line of the page. */
  readonly line: number;
  /** Named in the first line's comment, `// client.ts`: the page's folder then holds it. */
  readonly file?: string;
}

const FENCE = /^(`{3,})(\w*) ?(.*)$/;
const FILE_COMMENT = /^(?:\/\/|#) ([\w./-]+\.[a-z]+)$/;

export function blocksOf(file: string): Block[] {
  const blocks: Block[] = [];
  let open: { fence: string; language: string; info: string; line: number; lines: string[] } | undefined;
  for (const [at, line] of readFileSync(file, 'utf8').split('\n').entries()) {
    const match = FENCE.exec(line);
    if (open === undefined) {
      const [, fence = '', language = '', info = ''] = match ?? [];
      if (fence !== '') open = { fence, language, info, line: at + 1, lines: [] };
    } else if (line !== open.fence) open.lines.push(line);
    else {
      const name = FILE_COMMENT.exec(open.lines[0] ?? '')?.[1];
      blocks.push({
        language: open.language,
        isFragment: open.info === 'fragment',
        text: `${open.lines.join('\n')}\n`,
        line: open.line,
        ...(name !== undefined && { file: name }),
      });
      open = undefined;
    }
  }
  return blocks;
}

/** The commands of a console block; a line after one that ends with a backslash belongs to it. */
export function commandsOf(block: Block): Command[] {
  const commands: { line: string; expected: string[] }[] = [];
  let isOpen = false;
  for (const line of block.text.trimEnd().split('\n')) {
    const last = commands.at(-1);
    if (isOpen && last !== undefined) last.line += `\n${line}`;
    else if (line.startsWith('$ ')) commands.push({ line: line.slice(2), expected: [] });
    else last?.expected.push(line);
    isOpen = (isOpen || line.startsWith('$ ')) && line.endsWith('\\');
  }
  return commands;
}

/** The first expected line that the output lacks, in order; undefined where all are there. */
export function missingLine(expected: readonly string[], output: string): string | undefined {
  const lines = output.split('\n').map((line) => line.trimEnd());
  let from = 0;
  for (const want of expected.map((line) => line.trimEnd())) {
    if (want === '' || want === '…') continue;
    const pattern = new RegExp(`^${want.split('…').map(RegExp.escape).join('.*')}$`);
    const found = lines.findIndex((line, at) => at >= from && pattern.test(line));
    if (found === -1) return want;
    from = found + 1;
  }
  return undefined;
}

/** The words of a line that needs no shell; undefined where it says more than single quotes say. */
export function wordsOf(line: string): string[] | undefined {
  const words = line.match(/'[^']*'|[^\s']+/g) ?? [];
  const isPlain = words.every((word) => /^'|^[\w./:=@,+-]+$/.test(word)) && words.join(' ') === line;
  return isPlain ? words.map((word) => word.replaceAll("'", '')) : undefined;
}
