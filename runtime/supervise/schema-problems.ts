/** Turns what a zod schema refuses into problems with a place and a suggestion. */
import { z } from 'zod';
import { type Problems, suggest } from './problems.ts';
import type { Places } from './source.ts';

interface JsonSchema {
  readonly $ref?: string;
  readonly $defs?: Readonly<Record<string, JsonSchema>>;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly additionalProperties?: JsonSchema | boolean;
  readonly items?: JsonSchema;
}

/** Checks data that {@link Places} knows. Gives the parsed value, or undefined after adding every problem. */
export function checkSchema<S extends z.ZodType>(
  schema: S,
  data: object,
  places: Places,
  problems: Problems,
): z.output<S> | undefined {
  const result = schema.safeParse(data);
  if (result.success) return result.data;
  const shape = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as JsonSchema;
  for (const issue of result.error.issues) report(issue, shape, data, places, problems);
  return undefined;
}

function report(
  issue: z.core.$ZodIssue,
  shape: JsonSchema,
  data: object,
  places: Places,
  problems: Problems,
): void {
  const { path } = issue;
  if (issue.code === 'unrecognized_keys') {
    const known = knownKeys(shape, path);
    for (const key of issue.keys) {
      problems.add(
        places.at(data, [...path, key], 'key').place,
        `unknown key "${key}"${suggest(key, known)}`,
      );
    }
    return;
  }
  if (issue.code === 'invalid_key') {
    const why = issue.issues[0]?.message ?? issue.message;
    problems.add(places.at(data, path, 'key').place, `"${String(path.at(-1))}" cannot be a key here: ${why}`);
    return;
  }
  const { place, fromEnv } = places.at(data, path);
  const value = at(data, path);
  const name = path.length === 0 ? 'the config' : `"${nameOf(path)}"`;
  if (value === undefined) {
    problems.add(place, `${name} is missing: ${expectation(issue)}`);
    return;
  }
  const got = fromEnv ? ' (its value comes from the environment)' : `, not ${show(value)}`;
  const hint =
    issue.code === 'invalid_value' && typeof value === 'string' && !fromEnv
      ? suggest(value, issue.values.map(String))
      : '';
  problems.addUnlessKnown(
    place,
    `${name}: ${expectation(issue)}${got}${hint.includes('did you mean') ? hint : ''}`,
  );
}

function expectation(issue: z.core.$ZodIssue): string {
  if (issue.code === 'invalid_value')
    return `expected ${issue.values
      .map(String)
      .join(', ')
      .replace(/, ([^,]*)$/, ' or $1')}`;
  if (issue.code === 'invalid_type') return `expected ${article(issue.expected)}`;
  return issue.message.replace(/^(?:Invalid input|Invalid string|Too big|Too small): /, '');
}

function article(type: string): string {
  const names: Readonly<Record<string, string>> = {
    object: 'a map (key: value)',
    record: 'a map (key: value)',
    array: 'a list',
    string: 'text',
    int: 'a whole number',
    number: 'a number',
    boolean: 'true or false',
  };
  return names[type] ?? type;
}

function show(value: unknown): string {
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object' && value !== null) return 'a map';
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}

function nameOf(path: readonly PropertyKey[]): string {
  return path
    .map((step, n) => (typeof step === 'number' ? `[${step}]` : n === 0 ? String(step) : `.${String(step)}`))
    .join('');
}

function at(data: unknown, path: readonly PropertyKey[]): unknown {
  let current = data;
  for (const step of path) {
    if (typeof current !== 'object' || current === null) return undefined;
    current = (current as Record<PropertyKey, unknown>)[step];
  }
  return current;
}

function knownKeys(root: JsonSchema, path: readonly PropertyKey[]): readonly string[] {
  let current: JsonSchema | undefined = root;
  for (const step of path) {
    current = resolve(root, current);
    if (typeof step === 'number') current = current?.items;
    else {
      const rest: JsonSchema | boolean | undefined = current?.additionalProperties;
      current = current?.properties?.[String(step)] ?? (typeof rest === 'object' ? rest : undefined);
    }
  }
  return Object.keys(resolve(root, current)?.properties ?? {});
}

function resolve(root: JsonSchema, schema: JsonSchema | undefined): JsonSchema | undefined {
  const name = schema?.$ref?.split('/').at(-1);
  return name === undefined ? schema : root.$defs?.[name];
}
