/**
 * Builds the supervision tree from the merged data of a config, `from` lists expanded. It works on what was written,
 * not on what the schema made of it, so that one run finds the schema's problems and its own.
 */
import { type Address, address } from '#schemas/address';
import { faceOf, TREE_DEFAULT } from '#schemas/budget';
import {
  CHILDREN_MAX,
  type ChildSpec,
  RESTARTS,
  type Restart,
  ROOT_SUPERVISOR,
  SUPERVISOR_DEPTH_MAX,
  SUPERVISOR_MACHINE,
  SUPERVISOR_TYPE,
  type SupervisorSpec,
} from '#schemas/supervisor';
import { parseDurationMs } from '#schemas/units';
import { beside, isMap, type Raw, type Reading, readText } from './include.ts';
import { formatPlace, type Place, suggest } from './problems.ts';
import { readSource } from './source.ts';

export interface TreeOptions {
  readonly reading: Reading;
  /** Declared actor types. */
  readonly kinds: readonly string[];
  /** `name@version` of a declared type. */
  readonly machineOf: (type: string) => string;
  readonly defaults: Pick<SupervisorSpec, 'strategy' | 'intensity' | 'periodMs'>;
}

/** The tree under `raw`, best effort where something is wrong: the caller reports the problems and drops it. */
export function buildTree(raw: unknown, options: TreeOptions): SupervisorSpec {
  return new TreeBuilder(options).supervisor(isMap(raw) ? raw : {}, ROOT_SUPERVISOR, 1);
}

/** Best effort: what is wrong with it the schema says. */
function budgetOf(raw: unknown): Pick<SupervisorSpec, 'budget'> {
  if (!isMap(raw)) return {};
  const { tree = TREE_DEFAULT, account } = raw;
  return typeof tree === 'string' && typeof account === 'string' ? { budget: faceOf(tree, account) } : {};
}

class TreeBuilder {
  readonly #options: TreeOptions;
  /** Where each address was first named. */
  readonly #addresses = new Map<string, Place>();

  constructor(options: TreeOptions) {
    this.#options = options;
  }

  supervisor(raw: Raw, at: string, depth: number): SupervisorSpec {
    const { defaults } = this.#options;
    const period = raw.period;
    const children: ChildSpec[] = [];
    const ids = new Map<string, Place>();
    const list = raw.children;
    for (const [n, child] of (Array.isArray(list) ? list : []).entries()) {
      if (!isMap(child)) continue;
      const place = this.#placeOf(child) ?? this.#places.at(raw, ['children', n]).place;
      for (const spec of this.#child(child, at, depth, place)) {
        const first = ids.get(spec.spec.id);
        if (first === undefined) ids.set(spec.spec.id, spec.place);
        else
          this.#problem(
            spec.place,
            `child id "${spec.spec.id}" is used twice here, also at ${formatPlace(first)}`,
          );
        if (first === undefined) this.#claim(spec.spec.address, spec.place);
        children.push(spec.spec);
      }
    }
    if (children.length > CHILDREN_MAX) {
      const place = this.#placeOf(raw) ?? { file: '?', line: 1, column: 1 };
      this.#problem(
        place,
        `${children.length} children; one supervisor has ${CHILDREN_MAX} at most: nest supervisors`,
      );
    }
    return {
      strategy: (raw.strategy as SupervisorSpec['strategy'] | undefined) ?? defaults.strategy,
      intensity: (raw.intensity as number | undefined) ?? defaults.intensity,
      periodMs:
        (typeof period === 'string' || typeof period === 'number' ? parseDurationMs(period) : undefined) ??
        defaults.periodMs,
      ...budgetOf(raw.budget),
      children,
    };
  }

  #child(
    raw: Raw,
    parent: string,
    depth: number,
    place: Place,
  ): readonly { spec: ChildSpec; place: Place }[] {
    const restart = RESTARTS.includes(raw.restart as Restart) ? (raw.restart as Restart) : 'permanent';
    const has = (key: string) => raw[key] !== undefined && raw[key] !== null;
    const forbid = (shape: string, ...keys: readonly string[]) => {
      for (const key of keys)
        if (has(key)) this.#problem(this.#keyPlace(raw, key), `"${key}" does not go with ${shape}`);
    };
    if (has('from')) {
      forbid('a list (from)', 'id', 'input', 'supervisor');
      return this.#fromList(raw, restart, place);
    }
    forbid('a single child: they need "from"', 'list', 'idField');
    const id = raw.id;
    if (typeof id !== 'string') {
      if (!has('id')) this.#problem(place, 'a child needs an "id", or "from" for a list of children');
      return [];
    }
    const idPlace = this.#places.field(raw, 'id')?.value ?? place;
    if (has('supervisor')) {
      forbid('a nested supervisor', 'kind', 'input');
      return this.#nested(raw, id, parent, depth, restart, idPlace);
    }
    if (!has('kind')) {
      this.#problem(place, `child "${id}" needs a "kind", or a "supervisor" of its own`);
      return [];
    }
    const type = this.#kind(raw);
    if (type === undefined) return [];
    const to = this.#address(type, id, idPlace);
    if (to === undefined) return [];
    const input = raw.input;
    const machine = this.#options.machineOf(type);
    return [
      { spec: { id, address: to, machine, restart, ...(input !== undefined && { input }) }, place: idPlace },
    ];
  }

  #nested(
    raw: Raw,
    id: string,
    parent: string,
    depth: number,
    restart: Restart,
    place: Place,
  ): { spec: ChildSpec; place: Place }[] {
    if (depth === SUPERVISOR_DEPTH_MAX) {
      this.#problem(place, `supervisors nest deeper than ${SUPERVISOR_DEPTH_MAX}`);
      return [];
    }
    const to = this.#address(SUPERVISOR_TYPE, `${parent.slice(SUPERVISOR_TYPE.length + 1)}:${id}`, place);
    if (to === undefined || !isMap(raw.supervisor)) return [];
    const supervisor = this.supervisor(raw.supervisor, to, depth + 1);
    return [{ spec: { id, address: to, machine: SUPERVISOR_MACHINE, restart, supervisor }, place }];
  }

  #fromList(raw: Raw, restart: Restart, place: Place): { spec: ChildSpec; place: Place }[] {
    const { reading } = this.#options;
    if (raw.kind === undefined) this.#problem(place, '"from" needs a "kind" for its children');
    const type = this.#kind(raw);
    const from = raw.from;
    if (type === undefined || typeof from !== 'string') return [];
    const fromPlace = this.#places.field(raw, 'from')?.value ?? place;
    const file = beside(fromPlace.file, from);
    const text = readText(file, fromPlace, reading);
    const data =
      text === undefined
        ? undefined
        : readSource(text, { file, places: reading.places, problems: reading.problems });
    if (data === undefined) return [];
    const list = this.#listIn(data, raw, file, fromPlace);
    const idField = typeof raw.idField === 'string' ? raw.idField : 'id';
    const machine = this.#options.machineOf(type);
    const result: { spec: ChildSpec; place: Place }[] = [];
    for (const [n, item] of list.entries()) {
      const itemPlace = reading.places.field(list, n)?.value ?? { file, line: 1, column: 1 };
      const id = isMap(item) ? item[idField] : undefined;
      if (typeof id !== 'string' && typeof id !== 'number') {
        const near = isMap(item) ? suggest(idField, Object.keys(item)) : '';
        this.#problem(itemPlace, `this item has no "${idField}" to be the id of a child${near}`);
        continue;
      }
      const to = this.#address(type, String(id), itemPlace);
      if (to !== undefined)
        result.push({
          spec: { id: String(id), address: to, machine, restart, input: item },
          place: itemPlace,
        });
    }
    return result;
  }

  #listIn(data: unknown, raw: Raw, file: string, fromPlace: Place): readonly unknown[] {
    const key = raw.list;
    if (typeof key !== 'string') {
      if (Array.isArray(data)) return data;
      const lists = isMap(data) ? Object.keys(data).filter((name) => Array.isArray(data[name])) : [];
      this.#problem(
        fromPlace,
        `${file} is not a list; name one of its lists with "list"${suggest('', lists)}`,
      );
      return [];
    }
    const found = isMap(data) ? data[key] : undefined;
    if (Array.isArray(found)) return found;
    const lists = isMap(data) ? Object.keys(data).filter((name) => Array.isArray(data[name])) : [];
    this.#problem(
      this.#places.field(raw, 'list')?.value ?? fromPlace,
      `${file} has no list "${key}"${suggest(key, lists)}`,
    );
    return [];
  }

  /** The declared type a child names. */
  #kind(raw: Raw): string | undefined {
    const kind = raw.kind;
    if (typeof kind !== 'string') return undefined;
    if (this.#options.kinds.includes(kind)) return kind;
    const place = this.#places.field(raw, 'kind')?.value ?? { file: '?', line: 1, column: 1 };
    this.#problem(place, `kind "${kind}" is not declared under kinds${suggest(kind, this.#options.kinds)}`);
    return undefined;
  }

  #address(type: string, id: string, place: Place): Address | undefined {
    try {
      return address(type, id);
    } catch (error) {
      const what = error instanceof Error ? error.message : String(error);
      this.#options.reading.problems.addUnlessKnown(place, what);
      return undefined;
    }
  }

  /** One actor has one supervisor. */
  #claim(to: string, place: Place): void {
    const first = this.#addresses.get(to);
    if (first === undefined) this.#addresses.set(to, place);
    else this.#problem(place, `${to} has a supervisor already, at ${formatPlace(first)}`);
  }

  get #places() {
    return this.#options.reading.places;
  }

  #placeOf(container: object): Place | undefined {
    return this.#places.of(container);
  }

  #keyPlace(raw: Raw, key: string): Place {
    return this.#places.at(raw, [key], 'key').place;
  }

  #problem(place: Place, what: string): void {
    this.#options.reading.problems.add(place, what);
  }
}
