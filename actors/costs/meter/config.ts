/** The config of a meter from its file, or from the variables in which SDKs look for their keys. */
import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';
import { Problems } from '#runtime/supervise/problems';
import { checkSchema } from '#runtime/supervise/schema-problems';
import { Places, readSource } from '#runtime/supervise/source';
import { FabricError } from '#schemas/fabric-error';
import { type MeterConfig, meterSchema, type ProviderConfig, type WireName } from '#schemas/meter';
import { costErrors } from '../errors.ts';

type Environment = Readonly<Record<string, string | undefined>>;

const KNOWN: readonly (readonly [name: WireName, url: string, keyEnv: string])[] = [
  ['openai', 'https://api.openai.com', 'OPENAI_API_KEY'],
  ['anthropic', 'https://api.anthropic.com', 'ANTHROPIC_API_KEY'],
];
const KEY_BYTES_MAX = 4_096;
/** Mode bits by which others than the owner may read or write a file. */
const OTHERS = 0o077;

/** Throws `bad_meter`. */
export function readMeter(file: string, text: string): MeterConfig {
  const problems = new Problems(costErrors.bad_meter);
  const places = new Places();
  const data = readSource(text, { file, places, problems });
  const isMap = typeof data === 'object' && data !== null && !Array.isArray(data);
  if (data !== undefined && !isMap) problems.add({ file, line: 1, column: 1 }, 'holds no config of a meter');
  const config = isMap ? checkSchema(meterSchema, data, places, problems) : undefined;
  problems.throwIfAny();
  if (config === undefined) throw new Error('invariant: a config that is none has problems');
  return config;
}

/** The providers whose keys are there. Throws `provider_key_missing`. */
export function meterOf(env: Environment): MeterConfig {
  const providers = KNOWN.filter(([, , keyEnv]) => (env[keyEnv] ?? '') !== '');
  if (providers.length === 0) {
    const names = KNOWN.map(([, , keyEnv]) => keyEnv).join(' nor ');
    throw new FabricError(costErrors.provider_key_missing, `Neither ${names} is set, and no config is named`);
  }
  return meterSchema.parse({
    providers: Object.fromEntries(providers.map(([wire, url, keyEnv]) => [wire, { wire, url, keyEnv }])),
  });
}

/** Undefined where the provider wants none of ours. Throws `provider_key_missing`, never with the key. */
export function keyOf(
  name: string,
  { keyEnv, keyFile }: ProviderConfig,
  env: Environment,
  pathOf: (file: string) => string,
): string | undefined {
  if (keyEnv === undefined && keyFile === undefined) return undefined;
  const key = keyEnv === undefined ? keyIn(name, pathOf(keyFile ?? '')) : (env[keyEnv] ?? '').trim();
  if (/^[\x21-\x7e]+$/.test(key)) return key;
  throw missing(
    name,
    keyEnv === undefined ? `${keyFile} holds no key` : `${keyEnv} is not set, or is no key`,
  );
}

function keyIn(name: string, path: string): string {
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch (cause) {
    throw missing(name, `${path} cannot be read`, cause);
  }
  try {
    const { mode, size } = fstatSync(fd);
    if ((mode & OTHERS) !== 0) throw missing(name, `others may read ${path}`);
    if (size > KEY_BYTES_MAX) throw missing(name, `${path} is no key`);
    return readFileSync(fd, 'utf8').trim();
  } finally {
    closeSync(fd);
  }
}

function missing(name: string, what: string, cause?: unknown): FabricError {
  return new FabricError(costErrors.provider_key_missing, `The key of ${name}: ${what}`, {
    details: { provider: name },
    ...(cause !== undefined && { cause }),
  });
}
