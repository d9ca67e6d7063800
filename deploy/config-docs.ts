/** Writes docs/config.md from the config schema; `--check` fails when it is stale. */
import { z } from 'zod';
import { realmConfigSchema } from '#schemas/config';
import { writeOrCheck } from './generated.ts';

interface Json {
  readonly $ref?: string;
  readonly $defs?: Readonly<Record<string, Json>>;
  readonly type?: string;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly Json[];
  readonly properties?: Readonly<Record<string, Json>>;
  readonly additionalProperties?: Json | boolean;
  readonly items?: Json;
  readonly required?: readonly string[];
  readonly default?: unknown;
  readonly description?: string;
  readonly pattern?: string;
}

const root = z.toJSONSchema(realmConfigSchema, { io: 'input', unrepresentable: 'any' }) as Json;
const sections: string[] = [];
section('The realm', '', root);
writeOrCheck('docs/config.md', `${introduction()}\n${sections.join('\n')}`);

function section(title: string, path: string, schema: Json): void {
  const rows: string[] = [];
  const nested: (readonly [string, string, Json])[] = [];
  for (const [name, raw] of Object.entries(schema.properties ?? {})) {
    const field = resolved(raw);
    const full = path === '' ? name : `${path}.${name}`;
    rows.push(
      `| \`${name}\` | ${typeOf(raw)} | ${defaultOf(raw, schema.required?.includes(name) === true)} | ${textOf(raw)} |`,
    );
    const inner = field.properties !== undefined ? field : resolved(innerOf(field));
    const suffix = field.properties !== undefined ? '' : field.items !== undefined ? '[]' : '.<name>';
    // A supervisor in a child is the same again.
    if (inner.properties !== undefined && !full.includes('children[].supervisor'))
      nested.push([`\`${full}${suffix}\``, `${full}${suffix}`, inner]);
  }
  const intro = path === '' || schema.description === undefined ? '' : `${schema.description}\n\n`;
  sections.push(
    `## ${title}\n\n${intro}| key | value | default | |\n|---|---|---|---|\n${rows.join('\n')}\n`,
  );
  for (const [heading, at, inner] of nested) section(heading, at, inner);
}

function innerOf(field: Json): Json {
  if (field.items !== undefined) return field.items;
  return typeof field.additionalProperties === 'object' ? field.additionalProperties : {};
}

function resolved(schema: Json): Json {
  const name = schema.$ref?.split('/').at(-1);
  if (name === undefined) return schema;
  const { $ref: _, ...own } = schema;
  return { ...resolved(root.$defs?.[name] ?? {}), ...own };
}

function typeOf(raw: Json): string {
  const field = resolved(raw);
  if (field.enum !== undefined) return field.enum.map((value) => `\`${String(value)}\``).join(' or ');
  if (field.anyOf?.some(({ pattern }) => pattern?.includes('ms') === true) === true) return 'duration';
  if (field.anyOf?.some(({ pattern }) => pattern?.includes('MiB') === true) === true) return 'size';
  if (field.type === 'array')
    return `list of ${resolved(field.items ?? {}).type === 'string' ? 'texts' : 'maps'}`;
  const names: Readonly<Record<string, string>> = {
    object: 'map',
    string: 'text',
    integer: 'whole number',
    boolean: 'true or false',
  };
  return names[field.type ?? ''] ?? field.type ?? 'anything';
}

function defaultOf(raw: Json, required: boolean): string {
  if (required && raw.default === undefined) return '**required**';
  const value = raw.default;
  if (value === undefined || (typeof value === 'object' && JSON.stringify(value).length <= 2)) return '';
  return `\`${typeof value === 'string' ? value : JSON.stringify(value)}\``;
}

function textOf(raw: Json): string {
  return (resolved(raw).description ?? '').replaceAll('|', '\\|');
}

function introduction(): string {
  return `# Config reference

Generated from the schema by \`node deploy/config-docs.ts\`; do not edit. For completion in an editor, open a config with
\`# yaml-language-server: $schema=docs/schemas/realm.json\` (relative to the config).

- **Durations** are \`300ms\`, \`5s\`, \`10m\`, \`2h\`, \`1d\`, or a number of milliseconds. **Sizes** are \`512B\`, \`64MiB\`, \`10MB\`, or a number of bytes.
- **Environment**: \`\${NAME}\` and \`\${NAME:-default}\` in any value. An unset variable without a default is an error, what a
  variable holds is never read as YAML, and \`$\${\` stands for a plain \`\${\`.
  A reference inside \`{ … }\` needs quotes and is then text.
- **include** adds the \`kinds\` and the supervisor's children of other files, before the file's own; paths stand beside the
  file that names them, as do those of \`from\` and of machines.
- Every problem of a config is reported at once, as \`file:line:column: what is wrong — did you mean …?\`
`;
}
