/**
 * A YAML or JSON file as plain data that remembers where each value stands.
 *
 * S1 No file makes more than NODES_MAX values, however its aliases multiply; none nests deeper than DEPTH_MAX.
 * S2 A file is never executed: no tags of its own, no types beyond JSON's, no `__proto__`.
 */
import {
  type Alias,
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type Pair,
  parseAllDocuments,
  type Scalar,
} from 'yaml';
import { type Environment, interpolate, scalarOf } from './interpolate.ts';
import type { Place, Problems } from './problems.ts';

/** Values one file may hold: 10,000 children of 50 fields each. */
export const NODES_MAX = 500_000;
/** Nesting: deeper than any supervision tree, shallower than the stack. */
export const DEPTH_MAX = 100;
/** Bytes of one file: what the largest tree needs. */
export const FILE_BYTES_MAX = 16 * 2 ** 20;

interface KeyPlace {
  readonly key: Place;
  readonly value: Place;
  readonly fromEnv: boolean;
}

/** Where values stand: kept beside the data, so that the data stays plain. */
export class Places {
  readonly #own = new WeakMap<object, Place>();
  readonly #fields = new WeakMap<object, Map<string, KeyPlace>>();

  set(container: object, place: Place): void {
    this.#own.set(container, place);
    this.#fields.set(container, new Map());
  }

  setField(container: object, key: string | number, place: KeyPlace): void {
    this.#fields.get(container)?.set(String(key), place);
  }

  field(container: object, key: string | number): KeyPlace | undefined {
    return this.#fields.get(container)?.get(String(key));
  }

  /** Place of a container itself. */
  of(container: object): Place | undefined {
    return this.#own.get(container);
  }

  /** The deepest known place on a path of the data; `key` asks for the key rather than the value. */
  at(
    root: object,
    path: readonly PropertyKey[],
    what: 'key' | 'value' = 'value',
  ): KeyPlace & { readonly place: Place } {
    const own = this.of(root) ?? { file: '?', line: 1, column: 1 };
    let found: KeyPlace = { key: own, value: own, fromEnv: false };
    let current: unknown = root;
    for (const step of path) {
      if (typeof current !== 'object' || current === null) break;
      const place = this.field(current, String(step));
      if (place === undefined) break;
      found = place;
      current = (current as Record<PropertyKey, unknown>)[step];
    }
    return { ...found, place: found[what] };
  }
}

export interface ReadOptions {
  readonly file: string;
  readonly places: Places;
  readonly problems: Problems;
  /** Absent: no interpolation. */
  readonly env?: Environment;
}

/** Reads one document. Problems are added, never thrown; undefined when nothing usable came out. */
export function readSource(text: string, options: ReadOptions): unknown {
  const lines = new LineCounter();
  const documents = parseAllDocuments(text, {
    lineCounter: lines,
    prettyErrors: false,
    uniqueKeys: true,
    version: '1.2',
    schema: 'core',
  });
  const all: Document.Parsed[] = Array.isArray(documents) ? documents : [];
  const [document, second] = all;
  const placeAt = (offset: number): Place => {
    const { line, col } = lines.linePos(offset);
    return { file: options.file, line: Math.max(line, 1), column: Math.max(col, 1) };
  };
  if (document === undefined) return null;
  for (const fault of [...document.errors, ...document.warnings]) {
    options.problems.add(placeAt(fault.pos[0]), fault.message);
  }
  if (second !== undefined)
    options.problems.add(placeAt(second.range[0]), 'only one YAML document may stand in a file');
  if (document.errors.length > 0) return undefined;
  return new Reader(document, placeAt, options).read();
}

class Reader {
  readonly #document: Document.Parsed;
  readonly #placeAt: (offset: number) => Place;
  readonly #options: ReadOptions;
  #nodes = 0;
  /** A resolution walks the document: once per alias, not once per visit. */
  readonly #targets = new Map<Alias, Node | undefined>();

  constructor(document: Document.Parsed, placeAt: (offset: number) => Place, options: ReadOptions) {
    this.#document = document;
    this.#placeAt = placeAt;
    this.#options = options;
  }

  read(): unknown {
    return this.#value(this.#document.contents, 0);
  }

  #value(node: unknown, depth: number): unknown {
    this.#nodes += 1;
    if (this.#nodes === NODES_MAX + 1)
      this.#problem(node, `more than ${NODES_MAX} values: aliases multiply, or it is data`);
    if (this.#nodes > NODES_MAX) return null;
    if (depth === DEPTH_MAX) {
      this.#problem(node, `nested deeper than ${DEPTH_MAX}`);
      return null;
    }
    if (isAlias(node)) {
      const target = this.#target(node);
      if (target !== undefined) return this.#value(target, depth + 1);
      this.#problem(node, `there is no anchor &${node.source} above`);
      return null;
    }
    if (isMap(node)) return this.#map(node.items, node, depth);
    if (isSeq(node)) return this.#list(node.items, node, depth);
    return isScalar(node) ? this.#scalar(node) : null;
  }

  #target(alias: Alias): Node | undefined {
    if (!this.#targets.has(alias)) this.#targets.set(alias, alias.resolve(this.#document));
    return this.#targets.get(alias);
  }

  #map(items: readonly Pair[], node: Node, depth: number): Record<string, unknown> {
    const result: Record<string, unknown> = {};
    const { places } = this.#options;
    places.set(result, this.#place(node));
    const merged: unknown[] = [];
    for (const { key, value } of items) {
      if (!isScalar(key)) {
        this.#problem(key, 'a key must be a plain word');
        continue;
      }
      const name = String(key.value);
      if (name === '__proto__') {
        this.#problem(key, '"__proto__" is not a usable key');
        continue;
      }
      const plain = this.#value(value, depth + 1);
      if (name === '<<' && key.type === 'PLAIN') {
        merged.push(...(Array.isArray(plain) ? plain : [plain]));
        continue;
      }
      result[name] = plain;
      places.setField(result, name, {
        key: this.#place(key),
        value: value === null ? this.#place(key) : this.#place(value),
        fromEnv: this.#fromEnv(value),
      });
    }
    for (const part of merged) this.#merge(result, part);
    return result;
  }

  /** `<<: *defaults`: the map's own keys win, then the first merged map that has the key. */
  #merge(into: Record<string, unknown>, part: unknown): void {
    if (typeof part !== 'object' || part === null || Array.isArray(part)) return;
    const { places } = this.#options;
    for (const [name, value] of Object.entries(part)) {
      if (Object.hasOwn(into, name)) continue;
      into[name] = value;
      const place = places.field(part, name);
      if (place !== undefined) places.setField(into, name, place);
    }
  }

  #list(items: readonly unknown[], node: Node, depth: number): unknown[] {
    const result: unknown[] = [];
    this.#options.places.set(result, this.#place(node));
    for (const item of items) {
      const place = this.#place(item);
      this.#options.places.setField(result, result.length, {
        key: place,
        value: place,
        fromEnv: this.#fromEnv(item),
      });
      result.push(this.#value(item, depth + 1));
    }
    return result;
  }

  #scalar(node: Scalar): unknown {
    const { value } = node;
    const { env } = this.#options;
    if (typeof value === 'bigint') return Number(value);
    if (typeof value !== 'string' || env === undefined) return value;
    const { text, changed, faults } = interpolate(value, env);
    for (const { what } of faults) this.#problem(node, what);
    return changed && faults.length === 0 && node.type === 'PLAIN' ? scalarOf(text) : text;
  }

  #fromEnv(node: unknown): boolean {
    return this.#options.env !== undefined && isScalar(node) && String(node.value).includes('${');
  }

  #place(node: unknown): Place {
    const range = (node as Node | null)?.range;
    return this.#placeAt(range?.[0] ?? 0);
  }

  #problem(node: unknown, what: string): void {
    this.#options.problems.add(this.#place(node), what);
  }
}
