export interface NatsServer {
  readonly path: string;
  /** Like `2.15.1`. */
  readonly version: string;
  readonly source: 'env' | 'path' | 'cache';
}

export interface NatsServerOptions {
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Looked through after PATH. */
  readonly systemFolders?: readonly string[];
  /** Ways to fetch a binary into an empty folder, tried in order; each resolves to the binary's path. */
  readonly fetchers?: readonly ((work: string) => Promise<string>)[];
  readonly log?: (line: string) => void;
}

/** The oldest server the kernel's streams work on. */
export const minNatsServerVersion: string;

/** Looks without installing: `INFRAFABRIC_NATS_SERVER`, PATH, the cache. Throws when that variable names an unusable file. */
export function findNatsServer(options?: NatsServerOptions): Promise<NatsServer | undefined>;

/** Looks, then fetches into the cache. Throws an error that lists what was tried and the command that fixes it. */
export function provideNatsServer(options?: NatsServerOptions): Promise<NatsServer>;

/** The folder with a folder per cached version. */
export function cacheFolder(env?: Readonly<Record<string, string | undefined>>): string;
