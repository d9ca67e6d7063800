/** Marks of personal fields: read out of schemas, joined with those of a config, looked up by event. Pure. */
import { z } from 'zod';
import { FabricError } from '#schemas/fabric-error';
import { isSubjectRule, PERSONAL_KEYWORD, type PersonalRules, sealingProblem } from '#schemas/privacy';
import { privacyErrors } from './errors.ts';
import { type Pointer, parsePointer, pointerText, valueAt } from './pointer.ts';

/** Schemas refer to themselves: their fields are followed no deeper than this, and no further than so many steps. */
const DEPTH_MAX = 16;
const STEPS_MAX = 20_000;

/** What a machine's module says of its events: by type, a zod schema or a JSON Schema. */
export interface PersonalSchemas {
  /** `actor` (the default), or a JSON Pointer into the event. */
  readonly subject?: string;
  /** Only the fields marked {@link PERSONAL_KEYWORD} matter here; nothing is validated. */
  readonly events: Readonly<Record<string, unknown>>;
}

interface PersonalConfig {
  readonly subject?: string | undefined;
  readonly fields: readonly string[];
  readonly sends: 'seal' | 'refuse';
}

/**
 * The rules of a kind; undefined where neither says anything. The config's word on the subject counts first. Throws
 * `bad_marks`.
 */
export function rulesOf(
  config: PersonalConfig | undefined,
  schemas: PersonalSchemas | undefined,
): PersonalRules | undefined {
  if (config === undefined && schemas === undefined) return undefined;
  const events: Record<string, readonly string[]> = {};
  for (const [type, schema] of Object.entries(schemas?.events ?? {})) events[type] = markedFields(schema);
  const rules: PersonalRules = {
    subject: config?.subject ?? schemas?.subject ?? 'actor',
    fields: config?.fields ?? [],
    events,
    sends: config?.sends ?? 'seal',
  };
  checkRules(rules);
  return rules;
}

/** What is meant to be personal and would be stored in the clear is a mistake. Throws `bad_marks`. */
function checkRules({ subject, fields, events }: PersonalRules): void {
  const marked = [...fields, ...Object.values(events).flat()];
  if (marked.length === 0)
    throw badMarks('Nothing is marked: no field is named, and no schema has x-personal');
  for (const pointer of marked) {
    const problem = sealingProblem(pointer);
    if (problem !== undefined) throw badMarks(`${pointer}: ${problem}`);
  }
  if (!isSubjectRule(subject)) throw badMarks(`${subject} is neither actor nor a JSON Pointer`);
  const own = marked.find((pointer) => subject !== 'actor' && covers(pointer, subject));
  if (own !== undefined)
    throw badMarks(`${own} names the subject, which stands in the clear beside its data`);
}

function covers(pointer: string, other: string): boolean {
  const tokens = parsePointer(other);
  return parsePointer(pointer).every((token, n) => token === '*' || token === tokens[n]);
}

function badMarks(message: string): FabricError {
  return new FabricError(privacyErrors.bad_marks, message);
}

/** Pointers to the fields that a zod schema or a JSON Schema marks personal. */
export function markedFields(schema: unknown): string[] {
  const json = isZod(schema) ? z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) : schema;
  const found = new Set<string>();
  walk(json as Json, [], { root: json as Json, found, steps: 0 });
  return [...found];
}

/** Rules with their pointers parsed. */
export class Marks {
  readonly rules: PersonalRules;
  /** Undefined: the actor itself. */
  readonly subject: Pointer | undefined;
  readonly #common: readonly Pointer[];
  readonly #byType: ReadonlyMap<string, readonly Pointer[]>;
  readonly #all: readonly Pointer[];

  constructor(rules: PersonalRules) {
    this.rules = rules;
    this.subject = rules.subject === 'actor' ? undefined : parsePointer(rules.subject);
    this.#common = rules.fields.map(parsePointer);
    const byType = Object.entries(rules.events).map(
      ([type, fields]) => [type, [...this.#common, ...fields.map(parsePointer)]] as const,
    );
    this.#byType = new Map(byType);
    const everything = new Set([...rules.fields, ...Object.values(rules.events).flat()]);
    this.#all = [...everything].map(parsePointer);
  }

  /** Where an event of a type may hold personal data; one that no schema knows is held against every mark. */
  of(type: unknown): readonly Pointer[] {
    if (this.#byType.size === 0) return this.#common;
    return (typeof type === 'string' ? this.#byType.get(type) : undefined) ?? this.#all;
  }

  /** Marks of what effects give back. */
  get ofOutput(): readonly Pointer[] {
    return this.#all.filter(([first]) => first === 'output');
  }
}

type Json = Readonly<Record<string, unknown>> | boolean | undefined | null;

interface Walk {
  readonly root: Json;
  readonly found: Set<string>;
  steps: number;
}

function walk(schema: Json, path: Pointer, at: Walk): void {
  at.steps += 1;
  if (typeof schema !== 'object' || schema === null || path.length > DEPTH_MAX) return;
  if (at.steps > STEPS_MAX) throw badMarks(`A schema refers to itself in more than ${STEPS_MAX} ways`);
  if (schema[PERSONAL_KEYWORD] === true && path.length > 0) {
    at.found.add(pointerText(path));
    return;
  }
  const below = (next: unknown, token: string): void => walk(next as Json, [...path, token], at);
  for (const [key, next] of Object.entries((schema['properties'] as object | undefined) ?? {}))
    below(next, key);
  for (const listed of ['items', 'prefixItems']) {
    const items = schema[listed];
    if (!Array.isArray(items)) below(items, '*');
    else for (const [n, next] of items.entries()) below(next, String(n));
  }
  below(schema['additionalProperties'], '*');
  for (const next of Object.values((schema['patternProperties'] as object | undefined) ?? {}))
    below(next, '*');
  for (const joined of ['anyOf', 'oneOf', 'allOf', 'then', 'else']) {
    const part = schema[joined];
    for (const next of Array.isArray(part) ? part : [part]) walk(next as Json, path, at);
  }
  const ref = schema['$ref'];
  if (ref === '#') walk(at.root, path, at);
  else if (typeof ref === 'string' && ref.startsWith('#/')) {
    walk(valueAt(at.root, parsePointer(ref.slice(1))) as Json, path, at);
  }
}

function isZod(schema: unknown): schema is z.ZodType {
  return typeof schema === 'object' && schema !== null && '_zod' in schema;
}
