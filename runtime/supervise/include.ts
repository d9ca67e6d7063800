/**
 * Reads a config and the files it includes into one merged map. Included files add `kinds` and children; their
 * children come before the including file's own, in the order of `include`. A file named twice counts once.
 */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import { INCLUDES_MAX } from '#schemas/config';
import type { Environment } from './interpolate.ts';
import { formatPlace, type Place, type Problems } from './problems.ts';
import { FILE_BYTES_MAX, type Places, readSource } from './source.ts';

/** How deep files may include each other. */
const INCLUDE_DEPTH_MAX = 8;
const INCLUDED_KEYS = ['include', 'kinds', 'supervisor'];

/** Data as written, not yet checked: any key may hold anything. */
export interface Raw {
  [key: string]: unknown;
  include?: unknown;
  kinds?: unknown;
  machine?: unknown;
  version?: unknown;
  supervisor?: unknown;
  strategy?: unknown;
  intensity?: unknown;
  period?: unknown;
  budget?: unknown;
  children?: unknown;
  id?: unknown;
  kind?: unknown;
  restart?: unknown;
  input?: unknown;
  from?: unknown;
  list?: unknown;
  idField?: unknown;
}

export interface Reading {
  readonly places: Places;
  readonly problems: Problems;
  readonly env: Environment;
  /** Absolute paths of every file read, the main one first. */
  readonly sources: string[];
}

/** Reads text with a bound; a fault becomes a problem at `place`. */
export function readText(file: string, place: Place, reading: Reading): string | undefined {
  if (!existsSync(file)) {
    reading.problems.add(place, `there is no file ${file}`);
    return undefined;
  }
  const { size } = statSync(file);
  if (size > FILE_BYTES_MAX) {
    reading.problems.add(place, `${file} has ${size} bytes; ${FILE_BYTES_MAX} are the most`);
    return undefined;
  }
  try {
    const text = readFileSync(file, 'utf8');
    const path = resolve(file);
    if (!reading.sources.includes(path)) reading.sources.push(path);
    return text;
  } catch (error) {
    reading.problems.add(
      place,
      `${file} cannot be read: ${error instanceof Error ? error.message : String(error)}`,
    );
    return undefined;
  }
}

/** A path written in a config stands beside the file that names it. */
export function beside(file: string, named: string): string {
  return isAbsolute(named) ? named : join(dirname(file), named);
}

/** The merged data of a config; undefined when its top is not a map. */
export function readWithIncludes(file: string, reading: Reading): Raw | undefined {
  const main = readMap(file, { file, line: 1, column: 1 }, reading);
  if (main === undefined) return undefined;
  const seen = new Set([resolve(file)]);
  for (const part of included(file, main, [resolve(file)], seen, reading))
    mergeInto(main, part.data, reading);
  return main;
}

interface Part {
  readonly file: string;
  readonly data: Raw;
}

/** Depth first, so that what a file builds on comes before it; the last part is to be merged first. */
function included(
  file: string,
  data: Raw,
  chain: readonly string[],
  seen: Set<string>,
  reading: Reading,
): Part[] {
  const names = data.include;
  if (!Array.isArray(names)) return [];
  const parts: Part[] = [];
  for (const [n, name] of names.entries()) {
    if (typeof name !== 'string' || name === '') continue;
    const place = reading.places.field(names, n)?.value ?? { file, line: 1, column: 1 };
    const target = beside(file, name);
    const path = resolve(target);
    if (chain.includes(path)) {
      const circle = [...chain.slice(chain.indexOf(path)), path].map((step) => step.split('/').at(-1));
      reading.problems.add(place, `include goes in a circle: ${circle.join(' → ')}`);
    } else if (chain.length > INCLUDE_DEPTH_MAX) {
      reading.problems.add(place, `includes nest deeper than ${INCLUDE_DEPTH_MAX}`);
    } else if (!seen.has(path)) {
      seen.add(path);
      if (seen.size > INCLUDES_MAX) {
        reading.problems.add(place, `more than ${INCLUDES_MAX} included files`);
        return parts;
      }
      const part = readMap(target, place, reading);
      if (part === undefined) continue;
      checkPart(part, reading);
      parts.push(...included(target, part, [...chain, path], seen, reading).toReversed(), {
        file: target,
        data: part,
      });
    }
  }
  return parts.toReversed();
}

function readMap(file: string, place: Place, reading: Reading): Raw | undefined {
  const text = readText(file, place, reading);
  if (text === undefined) return undefined;
  const data = readSource(text, {
    file,
    places: reading.places,
    problems: reading.problems,
    env: reading.env,
  });
  if (isMap(data)) return data;
  if (data !== undefined) {
    reading.problems.add(
      { file, line: 1, column: 1 },
      'expected a map (key: value) at the top, such as "realm: mine"',
    );
  }
  return undefined;
}

function checkPart(data: Raw, reading: Reading): void {
  for (const key of Object.keys(data)) {
    if (INCLUDED_KEYS.includes(key)) continue;
    const place = reading.places.at(data, [key], 'key').place;
    reading.problems.add(
      place,
      `"${key}" belongs in the main config; an included file has ${INCLUDED_KEYS.join(', ')}`,
    );
  }
  const supervisor = data.supervisor;
  if (!isMap(supervisor)) return;
  for (const key of Object.keys(supervisor)) {
    if (key === 'children') continue;
    const place = reading.places.at(data, ['supervisor', key], 'key').place;
    reading.problems.add(
      place,
      `"supervisor.${key}" belongs in the main config; an included file adds children only`,
    );
  }
}

function mergeInto(main: Raw, part: Raw, reading: Reading): void {
  const kinds = part.kinds;
  if (isMap(kinds)) {
    if (main.kinds === undefined || main.kinds === null) main.kinds = emptyAt(kinds, {}, reading);
    const target = main.kinds;
    if (isMap(target)) mergeKinds(target, kinds, reading);
  }
  const supervisor = part.supervisor;
  const children = isMap(supervisor) ? supervisor.children : undefined;
  if (!Array.isArray(children)) return;
  if (main.supervisor === undefined || main.supervisor === null)
    main.supervisor = emptyAt(children, {}, reading);
  const target = main.supervisor;
  if (!isMap(target)) return;
  const own = target.children;
  const joined = emptyAt(Array.isArray(own) ? own : children, [] as unknown[], reading);
  for (const list of [children, Array.isArray(own) ? own : []]) {
    for (const [n, child] of list.entries()) {
      const place = reading.places.field(list, n);
      if (place !== undefined) reading.places.setField(joined, joined.length, place);
      joined.push(child);
    }
  }
  target.children = joined;
}

function mergeKinds(target: Raw, kinds: Raw, reading: Reading): void {
  for (const [name, kind] of Object.entries(kinds)) {
    const place = reading.places.field(kinds, name);
    const first = reading.places.field(target, name);
    if (Object.hasOwn(target, name)) {
      const other = first === undefined ? 'elsewhere' : `at ${formatPlace(first.key)}`;
      if (place !== undefined)
        reading.problems.add(place.key, `kind "${name}" is declared twice, also ${other}`);
      continue;
    }
    target[name] = kind;
    if (place !== undefined) reading.places.setField(target, name, place);
  }
}

function emptyAt<T extends object>(like: object, empty: T, reading: Reading): T {
  reading.places.set(empty, reading.places.of(like) ?? { file: '?', line: 1, column: 1 });
  return empty;
}

export function isMap(value: unknown): value is Raw {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
