/** The folder of a guest: its contract, its source, and the component that is built of it. */
import { cpSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { packageRoot } from '#runtime/cli/version';

import { FabricError } from '#schemas/fabric-error';
import { type ServiceContract, serviceName } from '#schemas/service-contract';
import { chassisErrors } from '../errors.ts';
import { readContract } from './contract-file.ts';

const CONTRACT = 'contract.yaml';

export const LANGUAGES = ['wat', 'c', 'js'] as const;
export type Language = (typeof LANGUAGES)[number];

export interface GuestFolder {
  readonly path: string;
  readonly contract: ServiceContract;
  readonly source: { readonly language: Language; readonly file: string } | undefined;
  /** Where the component is, or will be. */
  readonly component: string;
}

/** Writes a new guest that counts words. Throws `guest_exists`, `bad_guest_name`. */
export function makeGuest(folder: string, language: Language): readonly string[] {
  const name = serviceName.safeParse(basename(folder));
  if (!name.success) {
    const why = name.error.issues[0]?.message ?? '';
    throw new FabricError(chassisErrors.bad_guest_name, `"${basename(folder)}" names no component: ${why}`);
  }
  if (existsSync(folder)) throw new FabricError(chassisErrors.guest_exists, `${folder} is there already`);
  const templates = join(packageRoot(), 'deploy/guests');
  mkdirSync(folder, { recursive: true });
  cpSync(join(templates, language), folder, { recursive: true });
  const contract = readFileSync(join(templates, CONTRACT), 'utf8').replace('NAME', name.data);
  writeFileSync(join(folder, CONTRACT), contract);
  return [CONTRACT, ...(language === 'c' ? ['infrafabric.h'] : []), `guest.${language}`];
}

/** Throws `no_guest`, and `bad_contract` with the line. */
export function openGuest(path: string): GuestFolder {
  if (!existsSync(path)) throw new FabricError(chassisErrors.no_guest, `There is no folder ${path}`);
  const folder = existsSync(path) && statSync(path).isDirectory() ? path : dirname(path);
  if (!existsSync(join(folder, CONTRACT)))
    throw new FabricError(chassisErrors.no_guest, `There is no ${CONTRACT} in ${folder}`);
  const contract = readContract(join(folder, CONTRACT));
  const language = LANGUAGES.find((one) => existsSync(join(folder, `guest.${one}`)));
  return {
    path: folder,
    contract,
    source: language === undefined ? undefined : { language, file: join(folder, `guest.${language}`) },
    component: join(folder, `${contract.name}.wasm`),
  };
}

/** The bytes of its component. Throws `guest_not_built`. */
export function componentOf({ component, source, path }: GuestFolder): Uint8Array {
  if (existsSync(component)) return readFileSync(component);
  throw new FabricError(
    chassisErrors.guest_not_built,
    source === undefined
      ? `${path} holds neither ${basename(component)} nor a source to build it from (guest.wat, guest.c, guest.js)`
      : `There is no ${component}: \`infrafabric chassis build\` makes it`,
  );
}
