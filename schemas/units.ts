/** Durations and sizes as people write them (`300ms`, `5m`, `64MiB`), read into plain numbers. */
import { z } from 'zod';

const DURATION = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/;
const SIZE = /^(\d+(?:\.\d+)?)(B|KB|MB|GB|TB|KiB|MiB|GiB|TiB)$/;
const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const UNIT_BYTES: Readonly<Record<string, number>> = {
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
};

/** Milliseconds of `300ms`, `5s`, `10m`, `2h`, `1d` or a plain number of ms; undefined for anything else. */
export function parseDurationMs(value: string | number): number | undefined {
  return parseUnit(value, DURATION, UNIT_MS);
}

/** Bytes of `64MiB`, `10MB`, `512B` or a plain number of bytes; undefined for anything else. */
export function parseBytes(value: string | number): number | undefined {
  return parseUnit(value, SIZE, UNIT_BYTES);
}

/** The shortest exact spelling of a duration: 90000 → `90s`, 300000 → `5m`. */
export function formatDuration(ms: number): string {
  for (const unit of ['d', 'h', 'm', 's'] as const) {
    const size = UNIT_MS[unit] ?? 1;
    if (ms >= size && ms % size === 0) return `${ms / size}${unit}`;
  }
  return `${ms}ms`;
}

/** The shortest exact spelling of a size: 1048576 → `1MiB`. */
export function formatBytes(bytes: number): string {
  for (const unit of ['TiB', 'GiB', 'MiB', 'KiB'] as const) {
    const size = UNIT_BYTES[unit] ?? 1;
    if (bytes >= size && bytes % size === 0) return `${bytes / size}${unit}`;
  }
  return `${bytes}B`;
}

/** A duration in a config: gives whole milliseconds between the bounds. */
export function duration(minMs: number, maxMs: number) {
  const wanted = `a duration from ${formatDuration(minMs)} to ${formatDuration(maxMs)}, such as "5s" or "300ms"`;
  return quantity(parseDurationMs, DURATION, minMs, maxMs, wanted);
}

/** A size in a config: gives whole bytes between the bounds. */
export function byteSize(minBytes: number, maxBytes: number) {
  const wanted = `a size from ${formatBytes(minBytes)} to ${formatBytes(maxBytes)}, such as "64MiB" or "512B"`;
  return quantity(parseBytes, SIZE, minBytes, maxBytes, wanted);
}

function quantity(
  parse: (value: string | number) => number | undefined,
  pattern: RegExp,
  min: number,
  max: number,
  wanted: string,
) {
  return z

    .union([z.string().regex(pattern, { error: `expected ${wanted}` }), z.number()], {
      error: `expected ${wanted}`,
    })
    .transform((value, context) => {
      const parsed = parse(value);
      if (parsed !== undefined && parsed >= min && parsed <= max) return parsed;
      context.issues.push({ code: 'custom', message: `expected ${wanted}`, input: value });
      return z.NEVER;
    });
}

function parseUnit(
  value: string | number,
  pattern: RegExp,
  units: Readonly<Record<string, number>>,
): number | undefined {
  if (typeof value === 'number') return Number.isFinite(value) && value >= 0 ? Math.round(value) : undefined;
  const match = pattern.exec(value);
  const unit = units[match?.[2] ?? ''];
  return match === null || unit === undefined ? undefined : Math.round(Number(match[1]) * unit);
}
