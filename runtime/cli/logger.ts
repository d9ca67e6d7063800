/** What a node tells its operator while it runs: events with fields, a line each. */
import type { Logger } from '#runtime/shard/ports';
import { clock, compact, plainBytes } from './render/format.ts';
import type { Palette } from './render/palette.ts';

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export interface LoggerOptions {
  /** Asked for each line: who starts something may say less until it is up. */
  readonly level: () => LogLevel;
  readonly json: boolean;
  readonly palette: Palette;
  readonly write: (line: string) => void;
  /** ms since the epoch. */
  readonly now: () => number;
}

export function logger({ level, json, palette, write, now }: LoggerOptions): Logger {
  const at =
    (name: LogLevel) =>
    (fields: object, event: string): void => {
      if (LOG_LEVELS.indexOf(name) < LOG_LEVELS.indexOf(level())) return;
      write(json ? jsonLine(name, fields, event, now()) : textLine(name, fields, event, now(), palette));
    };
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}

/** The level by name, `info` for anything else. */
export function logLevel(name: string | undefined, fallback: LogLevel): LogLevel {
  return LOG_LEVELS.find((level) => level === name) ?? fallback;
}

function jsonLine(level: LogLevel, fields: object, event: string, at: number): string {
  return JSON.stringify(
    { time: new Date(at).toISOString(), level, event, ...plainErrors(fields) },
    plainBytes,
  );
}

function textLine(level: LogLevel, fields: object, event: string, at: number, palette: Palette): string {
  const paint = { debug: palette.faint, info: palette.good, warn: palette.warn, error: palette.bad }[level];
  const rest = Object.entries(plainErrors(fields))
    .map(([key, value]) => `${key}=${compact(value, 200)}`)
    .join(' ');
  return `${palette.faint(clock(at, at))} ${paint(level.padEnd(5))} ${event}  ${palette.faint(rest)}`.trimEnd();
}

/** Errors have no fields of their own that JSON would show. */
function plainErrors(fields: object): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).map(([key, value]: [string, unknown]) => [
      key,
      value instanceof Error ? value.message : value,
    ]),
  );
}
