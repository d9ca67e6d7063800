/**
 * Builds a component of a guest's source. The compiler runs with the rights of whoever builds; the component that comes
 * out is as untrusted as any other.
 */
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { findPackageJSON } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { codeRoot } from '#runtime/cli/version';
import { FabricError } from '#schemas/fabric-error';
import { chassisErrors } from '../errors.ts';
import type { GuestFolder, Language } from './folder.ts';

const run = promisify(execFile);
const WORLD = 'task';
const BUILD_MS_MAX = 120_000;

/** The world that guests are built for. */
const WORLD_FILE = join(codeRoot(), 'runtime', 'sandbox', 'world', 'task.wit');

/** Writes the component. Throws `guest_not_built`, `guest_tool_missing`. */
export async function buildGuest(guest: GuestFolder): Promise<Uint8Array> {
  const { source, path, component } = guest;
  if (source === undefined) {
    throw new FabricError(chassisErrors.guest_not_built, `${path} holds no guest.wat, guest.c or guest.js`);
  }
  const bytes = await BUILDERS[source.language](source.file);
  writeFileSync(component, bytes);
  return bytes;
}

const BUILDERS: Readonly<Record<Language, (file: string) => Promise<Uint8Array>>> = {
  wat: async (file) => await componentOf(await parsed(file)),
  c: async (file) => await componentOf(await compiled(file)),
  js: bundled,
};

/** A core module with what the world is, as a component. */
async function componentOf(core: Uint8Array): Promise<Uint8Array> {
  const { componentEmbed, componentNew } = await import('@bytecodealliance/jco-transpile/wasm-tools');
  try {
    const embedded = await componentEmbed({
      binary: core,
      witSource: readFileSync(WORLD_FILE, 'utf8'),
      world: WORLD,
      stringEncoding: 'utf8',
    });
    return await componentNew(embedded, []);
  } catch (cause) {
    throw notBuilt('it does not fit the world', cause);
  }
}

async function parsed(file: string): Promise<Uint8Array> {
  const { parse } = await import('@bytecodealliance/jco-transpile/wasm-tools');
  try {
    return await parse(readFileSync(file, 'utf8'));
  } catch (cause) {
    throw notBuilt(file, watReason(cause));
  }
}

/** The parser tells its whole state; who writes a guest wants the place, counted from 1, and the reason. */
function watReason(cause: unknown): unknown {
  const text = cause instanceof Error ? cause.message : String(cause);
  const [, line, column] = /line: (\d+), col: (\d+)/.exec(text) ?? [];
  const reason = /kind: (?:Custom\("((?:[^"\\]|\\.)*)"\)|(?:Lex\()?(\w+))/.exec(
    text.slice(text.indexOf('span:')),
  );
  if (line === undefined || column === undefined || reason === null) return cause;
  return `line ${Number(line) + 1}, column ${Number(column) + 1}: ${reason[1] ?? reason[2]}`;
}

/** Clang alone: no library, no SDK. */
async function compiled(file: string): Promise<Uint8Array> {
  const folder = mkdtempSync(join(tmpdir(), 'infrafabric-guest-'));
  const core = join(folder, 'guest.core.wasm');
  const flags = ['--target=wasm32', '-nostdlib', '-ffreestanding', '-O2', '-Wall', '-Wl,--no-entry'];
  try {
    await run('clang', [...flags, '-o', core, file], { timeout: BUILD_MS_MAX });
    return readFileSync(core);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') {
      throw new FabricError(
        chassisErrors.guest_tool_missing,
        'clang is not on PATH (Debian: clang and lld)',
        { cause },
      );
    }
    throw notBuilt(file, (cause as { readonly stderr?: string }).stderr ?? cause);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Of what Node says: the place, the line, what is wrong with it. */
const SYNTAX_LINES = 5;

const COMPONENTIZE = '@bytecodealliance/componentize-js';

interface Componentize {
  componentize(options: object): Promise<{ readonly component: Uint8Array }>;
}

/** An engine and the program in one: by a package that whoever writes JavaScript guests installs beside them. */
async function bundled(file: string): Promise<Uint8Array> {
  const tool = await componentizeFor(file);
  try {
    const { component } = await tool.componentize({
      sourcePath: file,
      witPath: WORLD_FILE,
      worldName: WORLD,
      disableFeatures: ['stdio', 'random', 'clocks', 'http', 'fetch-event'],
    });
    return component;
  } catch (cause) {
    throw notBuilt(file, (await syntaxError(file)) ?? cause);
  }
}

/** Where a program cannot be read; the packager only counts such places. */
async function syntaxError(file: string): Promise<string | undefined> {
  try {
    await run(process.execPath, ['--check', file], { timeout: BUILD_MS_MAX });
    return undefined;
  } catch (thrown) {
    return (thrown as { readonly stderr?: string }).stderr?.split('\n').slice(0, SYNTAX_LINES).join('\n');
  }
}

/** Found from the guest's folder on, as its own imports are. */
async function componentizeFor(file: string): Promise<Componentize> {
  try {
    const manifest = findPackageJSON(COMPONENTIZE, pathToFileURL(file));
    const { exports } = JSON.parse(readFileSync(manifest ?? '', 'utf8')) as { exports: { import: string } };
    return (await import(pathToFileURL(join(dirname(manifest ?? ''), exports.import)).href)) as Componentize;
  } catch (cause) {
    throw new FabricError(
      chassisErrors.guest_tool_missing,
      `JavaScript wants \`npm install ${COMPONENTIZE}\` beside ${file}`,
      { cause },
    );
  }
}

function notBuilt(what: string, cause: unknown): FabricError {
  const text = cause instanceof Error ? cause.message : String(cause);
  return new FabricError(chassisErrors.guest_not_built, `${what}: ${text.trim()}`, { cause });
}
