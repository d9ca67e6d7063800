/**
 * What the process of a replay gives up before any machine is loaded. Node's permission model (jail.ts) keeps files,
 * network and children from it, but lets it end other processes, change their priority, and have V8 write files; and it
 * follows links. Code of machines computes: it gets what computes, and of the rest a stand-in.
 *
 * F1  Of the modules of Node only those that compute are what they are. All others can be imported, by whatever way, so
 *     that a file may hold a machine beside other things; what is called of them throws, and is told.
 * F2  The same holds for the functions of `process`. Both lists say what stays: what another Node adds does not.
 * F3  What is imported is code or JSON, by the name of its file.
 */
import module, { isBuiltin, syncBuiltinESMExports } from 'node:module';
import { extname } from 'node:path';

/** F1: they compute, or wait. */
const PURE = new Set(
  [
    ['assert', 'assert/strict', 'buffer', 'console', 'constants', 'crypto', 'events', 'path', 'path/posix'],
    ['path/win32', 'perf_hooks', 'process', 'punycode', 'querystring', 'stream', 'stream/consumers'],
    ['stream/promises', 'stream/web', 'string_decoder', 'sys', 'timers', 'timers/promises', 'url', 'util'],
    ['util/types', 'zlib'],
  ].flat(),
);

/** F1: of other modules, what packages call while they are imported. */
const PURE_MEMBERS = new Set([
  'async_hooks.AsyncLocalStorage',
  'async_hooks.AsyncResource',
  'module.createRequire',
  'module.isBuiltin',
  'os.arch',
  'os.endianness',
  'os.homedir',
  'os.platform',
  'os.release',
  'os.tmpdir',
  'os.type',
  'tty.isatty',
]);

/** F2: to compute, to end itself, and what Node itself calls there. */
const KEPT_OF_PROCESS = new Set(
  [
    [
      '_fatalException',
      '_rawDebug',
      '_tickCallback',
      'addUncaughtExceptionCaptureCallback',
      'availableMemory',
    ],
    [
      'constrainedMemory',
      'cpuUsage',
      'cwd',
      'disconnect',
      'emitWarning',
      'exit',
      'getegid',
      'geteuid',
      'getgid',
    ],
    [
      'getuid',
      'hasUncaughtExceptionCaptureCallback',
      'hrtime',
      'memoryUsage',
      'nextTick',
      'reallyExit',
      'ref',
    ],
    [
      'resourceUsage',
      'send',
      'setSourceMapsEnabled',
      'setUncaughtExceptionCaptureCallback',
      'threadCpuUsage',
    ],
    ['unref', 'uptime', '_disconnect', '_send'],
  ].flat(),
);

/** F3: as Node tells code from the rest. */
const CODE = new Set(['', '.js', '.mjs', '.cjs', '.ts', '.mts', '.cts', '.json', '.wasm']);

const STAND_IN = 'infrafabric-refused:';

export type Tell = (permission: string, resource: string) => void;

/** Confines this process for good. `tell` hears of every try. */
export function confine(tell: Tell): void {
  const real = process.getBuiltinModule.bind(process);
  const standIns = new Map<string, unknown>();
  const builtin = (id: string): unknown => {
    const name = bare(id);
    if (PURE.has(name)) return real(id);
    if (!isBuiltin(id)) return undefined;
    let found = standIns.get(name);
    if (found === undefined) {
      found = standInFor(real(id), name, tell);
      standIns.set(name, found);
    }
    return found;
  };

  module.registerHooks({
    resolve(specifier, context, next) {
      if (isBuiltin(specifier)) {
        if (PURE.has(bare(specifier))) return next(specifier, context);
        return { url: `${STAND_IN}${bare(specifier)}`, format: 'module', shortCircuit: true };
      }
      // Those of Node that are switched off as a whole.
      if (specifier.startsWith('node:')) throw refused('Module', specifier, tell);
      const resolved = next(specifier, context);
      if (resolved.url.startsWith('file:') && !CODE.has(extname(new URL(resolved.url).pathname)))
        throw refused('Module', resolved.url, tell);
      return resolved;
    },
    load(url, context, next) {
      if (!url.startsWith(STAND_IN)) return next(url, context);
      return { format: 'module', source: sourceOf(url.slice(STAND_IN.length), builtin), shortCircuit: true };
    },
  });
  // Hooks of a machine would come before these.
  for (const name of ['register', 'registerHooks'] as const)
    set(module, name, refusing(`module.${name}`, tell));
  syncBuiltinESMExports();

  set(process, 'getBuiltinModule', builtin);
  for (const [name, { value, configurable }] of Object.entries(Object.getOwnPropertyDescriptors(process))) {
    if (typeof value !== 'function' || configurable !== true || KEPT_OF_PROCESS.has(name)) continue;
    set(process, name, refusing(`process.${name}`, tell));
  }
  // It writes files when the process ends.
  set(process, 'report', undefined);
}

/** ES module that stands in for a module of Node, whether it is imported or required. */
function sourceOf(name: string, builtin: (id: string) => unknown): string {
  const id = `node:${name}`;
  const names = Object.keys(builtin(id) as object).filter((key) => key !== 'default' && IDENTIFIER.test(key));
  return [
    `const all = process.getBuiltinModule('${id}');`,
    `export const { ${names.join(', ')} } = all;`,
    "export { all as default, all as 'module.exports' };",
  ].join('\n');
}

const IDENTIFIER = /^[A-Za-z_$][\w$]*$/;

function standInFor(value: unknown, path: string, tell: Tell, known = new Map<unknown, unknown>()): unknown {
  const isFunction = typeof value === 'function';
  if (PURE_MEMBERS.has(path) || !(isFunction || (typeof value === 'object' && value !== null))) return value;
  const before = known.get(value);
  if (before !== undefined) return before;
  const made: object = isFunction ? refusing(path, tell) : Array.isArray(value) ? [] : {};
  known.set(value, made);
  for (const key of Object.keys(value)) {
    const member = (value as Readonly<Record<string, unknown>>)[key];
    set(made, key, standInFor(member, `${path}.${key}`, tell, known));
  }
  return made;
}

/** Something to call, to make and to extend; where that is done, it throws. */
function refusing(path: string, tell: Tell): () => never {
  return function refuse(): never {
    throw refused('Module', path, tell);
  };
}

/** As Node says it. */
function refused(permission: string, resource: string, tell: Tell): Error {
  tell(permission, resource);
  const message = `Access to this API has been restricted: ${resource} is nothing for a machine in a replay`;
  return Object.assign(new Error(message), { code: 'ERR_ACCESS_DENIED', permission, resource });
}

function bare(id: string): string {
  return id.startsWith('node:') ? id.slice('node:'.length) : id;
}

/** For good. */
function set(of: object, name: string, value: unknown): void {
  Object.defineProperty(of, name, { value, enumerable: true, writable: false, configurable: false });
}
