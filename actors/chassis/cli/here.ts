/** What the commands share that run a guest on this machine. */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { type Command, Option } from 'commander';
import { type Run, wholeNumber } from '#runtime/cli/command';
import { cliErrors } from '#runtime/cli/errors';
import type { GatedComponent } from '#runtime/sandbox/gate/types';
import type { LayerPolicy } from '#runtime/sandbox/jail/layers';
import { FabricError } from '#schemas/fabric-error';
import { type Grant, grantSchema } from '#schemas/grant';
import type { ServiceContract } from '#schemas/service-contract';
import { type Chamber, openChamber } from '../chamber.ts';
import { buildGuest } from '../guests/build.ts';
import { componentOf, type GuestFolder, openGuest } from '../guests/folder.ts';
import { tellMissing } from './say.ts';

export interface HereOptions {
  readonly require: LayerPolicy;
  readonly grant?: true;
  readonly seed: number;
}

export function withHere(command: Command): Command {
  return command
    .addOption(
      new Option('--require <layers>', 'layers that the jail must have')
        .choices(['full', 'any'])
        .default('any'),
    )
    .option('--grant', 'with all that the contract grants; nothing without')
    .option('--seed <n>', 'of its random numbers', wholeNumber, 0);
}

/** A guest, built anew where its source is newer than its component. */
export async function builtGuest(
  path: string,
): Promise<{ readonly guest: GuestFolder; readonly bytes: Uint8Array }> {
  const guest = openGuest(path);
  const { source, component } = guest;
  const isStale =
    source !== undefined &&
    (!existsSync(component) || statSync(component).mtimeMs < statSync(source.file).mtimeMs);
  return { guest, bytes: isStale ? await buildGuest(guest) : componentOf(guest) };
}

export interface OpenHere {
  readonly chamber: Chamber;
  readonly contract: ServiceContract;
  readonly component: GatedComponent;
  readonly grant: Grant;
  /** How long the gate took. */
  readonly gateMs: number;
}

export async function withGuest<T>(
  { options, io, out }: Run<HereOptions>,
  path: string,
  use: (here: OpenHere) => Promise<T>,
): Promise<T> {
  const { guest, bytes } = await builtGuest(resolve(io.cwd, path));
  await using chamber = await openChamber({ require: options.require, places: 1 });
  tellMissing(chamber.layers, out);
  const startedAt = performance.now();
  const component = await chamber.gate(bytes);
  const gateMs = performance.now() - startedAt;
  const { contract } = guest;
  const grant = options.grant === true ? contract.grant : grantSchema.parse({});
  return await use({ chamber, contract, component, grant, gateMs });
}

/** `@file`, or the text itself. Throws `file_unreadable`. */
export function inputBytes(text: string, cwd: string): Uint8Array {
  if (!text.startsWith('@')) return new TextEncoder().encode(text);
  const file = resolve(cwd, text.slice(1));
  try {
    return readFileSync(file);
  } catch (cause) {
    throw new FabricError(cliErrors.file_unreadable, `${file} cannot be read`, { cause });
  }
}
