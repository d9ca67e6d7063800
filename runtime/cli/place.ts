/** What is said of a node alone, by options and by the environment: its name, capacity and labels, and whom it joins. */
import { existsSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { withToken } from '#runtime/bus/servers';
import { memberErrors } from '#runtime/members/errors';
import { FabricError } from '#schemas/fabric-error';
import { CAPACITY_MAX, LABEL, NODE_NAME } from '#schemas/member';
import { cliErrors } from './errors.ts';
import { readRun, type Surroundings } from './locate.ts';

export interface PlaceOptions {
  readonly name?: string;
  readonly capacity?: string;
  readonly label?: readonly string[];
}

export interface NodePlace {
  readonly name?: string;
  readonly capacity?: number;
  readonly labels?: Readonly<Record<string, string>>;
}

/** Options win over the environment. Throws `bad_node_name`, `bad_label`, `usage`. */
export function placeOf(options: PlaceOptions, env: Surroundings['env']): NodePlace {
  const name = options.name ?? filled(env['INFRAFABRIC_NODE_NAME']);
  if (name !== undefined && !NODE_NAME.test(name)) {
    throw new FabricError(memberErrors.bad_node_name, `"${name}" is no name of a node`);
  }
  const capacityText = options.capacity ?? filled(env['INFRAFABRIC_CAPACITY']);
  const capacity = capacityText === undefined ? undefined : Number(capacityText);
  if (capacity !== undefined && !(capacity > 0 && capacity <= CAPACITY_MAX)) {
    throw new FabricError(
      cliErrors.usage,
      `"${capacityText}" is no capacity: a number above 0, ${CAPACITY_MAX} at most`,
    );
  }
  const listed = filled(env['INFRAFABRIC_LABELS'])?.split(',') ?? [];
  const labels = Object.fromEntries(
    [...listed, ...(options.label ?? [])].map((text) => labelOf(text.trim())),
  );
  return {
    ...(name !== undefined && { name }),
    ...(capacity !== undefined && { capacity }),
    ...(Object.keys(labels).length > 0 && { labels }),
  };
}

/** `sip` is short for `sip=true`. */
function labelOf(text: string): readonly [string, string] {
  const [name = '', ...rest] = text.split('=');
  const value = rest.length === 0 ? 'true' : rest.join('=');
  if (LABEL.test(name) && LABEL.test(value)) return [name, value];
  throw new FabricError(memberErrors.bad_label, `"${text}" is no label`);
}

/**
 * The server that `--join` means: its URL, or that of the node which runs in a data folder. Throws `join_unknown`.
 */
export function serverToJoin(text: string, cwd: string): string {
  const path = resolve(cwd, text);
  if (text.includes('://') || !existsSync(path)) {
    if (text.includes('://') || !text.includes('/')) return text;
    throw new FabricError(cliErrors.join_unknown, `There is no data folder ${path}`);
  }
  const dataDir = statSync(path).isDirectory() ? path : dirname(path);
  const run = readRun(dataDir);
  if (run === undefined) {
    throw new FabricError(cliErrors.join_unknown, `No node runs in ${join(dataDir)}`, {
      details: { dataDir },
    });
  }
  return withToken(run.url, run.token);
}

function filled(text: string | undefined): string | undefined {
  return text === '' ? undefined : text;
}
