/**
 * How `dist` is made: the config of `rolldown`. A start of ours is mostly Node finding and linking modules, so what
 * every start needs lies in few files, and what only some need in chunks of their own.
 *
 * U1  Outside stay packages with native code, WebAssembly or files of their own; and those whose objects users hand to
 *     us or get from us, of which there must be one copy: XState, NATS.
 * U2  The entries of package.json share their modules: an error of one is an instance of the other's class.
 * U3  What runs in a jail lies in a folder of its own, with all it imports: it may read nothing else.
 * U4  Names stay and nothing is minified: a stack trace tells where it was, and what refuses a machine reads its source.
 * U5  With code of others comes its licence.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const TARGET = 'node22';
/** Packages that come without the text of the licence that they name. */
const WITHOUT_TEXT = ['@bomb.sh/tab'];
const WORLD = 'runtime/sandbox/world/task.wit';
const JAIL = 'runtime/sandbox/jail';

// U1
const outside = [
  /^node:/,
  /^xstate($|\/)/,
  /^@nats-io\//,
  /^msgpackr($|\/)/,
  /^@bytecodealliance\//,
  /^@cedar-policy\//,
  /^@modelcontextprotocol\//,
];

export default [
  {
    ...build('node', [
      'actors/infrafabric.js',
      'actors/main.ts',
      'actors/coordinator/coordinator.ts',
      'actors/governor/governor.ts',
      'runtime/client/node.ts',
      'runtime/privacy/vault.ts',
      'runtime/testing/testing.ts',
      'schemas/machine-kit.ts',
    ]),
    external: outside,
    plugins: [licences(), assets([WORLD])],
    output: output({
      groups: [
        // Each takes all that its files import, but for what one before it took: in this order none loads a later one.
        group('boot', 'deploy/nats-server.mjs'),
        group('machine', 'schemas/machine-kit.ts'),
        group('zod', /\/node_modules\/zod\//),
        // What a client shares with the beginning of a node.
        group(
          'base',
          /\/node_modules\/canonicalize\//,
          'runtime/bus/errors.ts',
          'runtime/bus/servers.ts',
          'runtime/members/errors.ts',
          'runtime/node/errors.ts',
          'schemas/address.ts',
          'schemas/if-message.ts',
        ),
        // What every command needs; then `up` until its server runs.
        group('main', 'runtime/cli/main.ts', 'actors/distribution.ts'),
        group('up', 'runtime/cli/commands/up.ts', 'runtime/cli/foreground.ts', 'runtime/node/start.ts'),
        group('client', 'runtime/client/node.ts'),
        group(
          'node',
          'actors/index.ts',
          'machines/keyring.ts',
          'machines/redaction.ts',
          'machines/supervisor.ts',
          'machines/witness.ts',
          'runtime/cli/live-view.ts',
          'runtime/node/keepers.ts',
          'runtime/node/node.ts',
          'runtime/node/witness.ts',
        ),
      ],
    }),
  },
  {
    ...build('browser', ['runtime/client/browser.ts']),
    // Packages are for the bundler of whoever builds the page.
    external: /^[^.#/]/,
    output: output(false),
  },
  // U3
  { ...build('node', [`${JAIL}/child/main.ts`]), external: outside, output: output(false) },
  {
    ...build('node', [`${JAIL}/gate-child/main.ts`, `${JAIL}/gate-child/empty-wasi.ts`]),
    external: outside,
    output: output({}, `${JAIL}/gate-child`),
  },
];

/**
 * @param {'node' | 'browser'} platform
 * @param {readonly string[]} entries
 */
function build(platform, entries) {
  const input = Object.fromEntries(
    entries.map((entry) => [entry.replace(/\.[jt]s$/, ''), join(root, entry)]),
  );
  return { cwd: root, platform, input, transform: { target: TARGET } };
}

/** @param {object | false} codeSplitting */
function output(codeSplitting, chunks = 'chunks') {
  return {
    dir: join(root, 'dist'),
    format: 'es',
    entryFileNames: '[name].js',
    chunkFileNames: `${chunks}/[name]-[hash].js`,
    comments: { jsdoc: false },
    minify: false, // U4
    codeSplitting,
  };
}

/**
 * Goes into one chunk with everything that these import.
 * @param {string} name
 * @param {readonly (string | RegExp)[]} files
 */
function group(name, ...files) {
  /** @param {string} id */
  const test = (id) =>
    files.some((file) => (typeof file === 'string' ? relative(root, id) === file : file.test(id)));
  return { name, test };
}

/** Files that are read, not run. @param {readonly string[]} files */
function assets(files) {
  return {
    name: 'assets',
    /** @this {{ emitFile(file: object): void }} */
    generateBundle() {
      for (const file of files) {
        this.emitFile({ type: 'asset', fileName: file, source: readFileSync(join(root, file)) });
      }
    },
  };
}

/** U5 */
function licences() {
  return {
    name: 'licences',
    /**
     * @this {{ emitFile(file: object): void }}
     * @param {unknown} _options
     * @param {Readonly<Record<string, { readonly moduleIds?: readonly string[] }>>} bundle
     */
    generateBundle(_options, bundle) {
      const packages = new Set(
        Object.values(bundle)
          .flatMap(({ moduleIds = [] }) => moduleIds)
          .map((id) => /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+/.exec(id)?.[0])
          .filter((folder) => folder !== undefined),
      );
      const texts = [...packages].sort().map(licenceOf);
      this.emitFile({ type: 'asset', fileName: 'licences.txt', source: texts.join('\n') });
    },
  };
}

/** @param {string} folder */
function licenceOf(folder) {
  const { name, version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  const file = readdirSync(folder).find((other) => /^licen[cs]e/i.test(other));
  if (file === undefined && !WITHOUT_TEXT.includes(name))
    throw new Error(`${name} has no text of its licence`);
  const text = file === undefined ? '' : readFileSync(join(folder, file), 'utf8').trim();
  return `${name} ${version} (${license})\n\n${text}\n`;
}
