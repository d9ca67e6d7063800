/** An error as the reader sees it: what, where, what to do. */
import { FabricError, toWireError, type WireError } from '#schemas/fabric-error';
import { compact } from './format.ts';
import type { Palette } from './palette.ts';

/** Details that say where, in the order in which they are shown; the rest goes to --json. */
const PLACES = [
  'file',
  'line',
  'column',
  'path',
  'subject',
  'actor',
  'type',
  'pid',
  'dataDir',
  'url',
  'log',
] as const;

export function errorLines(error: WireError, palette: Palette): string[] {
  const [first = '', ...rest] = error.message.split('\n');
  const lines = [`${palette.bad(`error[${error.code}]`)}: ${first}`, ...rest.map((line) => `  ${line}`)];
  const where = place(error.details ?? {}, error.message);
  if (where !== '') lines.push(`  ${palette.faint(`at ${where}`)}`);
  if (error.help !== undefined && error.help !== '') lines.push(`${palette.name('help')}: ${error.help}`);
  return lines;
}

/** Stack and causes, for --debug only. */
export function debugLines(thrown: unknown, palette: Palette): string[] {
  const lines: string[] = [];
  for (let error: unknown = thrown; error instanceof Error; error = error.cause) {
    lines.push(...(error.stack ?? error.message).split('\n').map((line) => palette.faint(line)));
    if (error instanceof FabricError && Object.keys(error.details).length > 0) {
      lines.push(palette.faint(`details: ${compact(error.details, 2_000)}`));
    }
  }
  return lines;
}

export function wireOf(thrown: unknown): WireError {
  return toWireError(thrown);
}

/** What the message does not say already. */
function place(details: Readonly<Record<string, unknown>>, message: string): string {
  const { file, line, column } = details;
  if (typeof file === 'string') {
    const text = [file, line, column].filter((part) => part !== undefined).join(':');
    return message.includes(text) ? '' : text;
  }
  return PLACES.filter((name) => details[name] !== undefined && !message.includes(String(details[name])))
    .map((name) => `${name} ${compact(details[name])}`)
    .join(', ');
}
