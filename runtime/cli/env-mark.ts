/**
 * What `env` exported stays in a shell after the node it spoke of has ended. A mark beside it says where it came from,
 * so that a command which starts a node, or finds a config in its folder, can leave it aside.
 */

/** `<host of the server> <data folder>`. */
export const ENV_MARK = 'INFRAFABRIC_ENV_OF';

type Env = Readonly<Record<string, string | undefined>>;

export function envMark(url: string, dataDir: string): string {
  return `${hostOf(url)} ${dataDir}`;
}

/** The environment without what `env` exported; what the user has set since, or otherwise, stays. */
export function withoutExports(env: Env): Env {
  const mark = env[ENV_MARK];
  if (mark === undefined) return env;
  const { NATS_URL: url, INFRAFABRIC_DATA: dataDir, [ENV_MARK]: _, ...rest } = env;
  return {
    ...rest,
    ...(url !== undefined && !mark.startsWith(`${hostOf(url)} `) && { NATS_URL: url }),
    ...(dataDir !== undefined && !mark.endsWith(` ${dataDir}`) && { INFRAFABRIC_DATA: dataDir }),
  };
}

function hostOf(url: string): string {
  const text = url.includes('://') ? url : `nats://${url}`;
  return URL.canParse(text) ? new URL(text).host : url;
}
