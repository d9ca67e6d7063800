/**
 * Every page shows what is: its commands run in a folder of the page's own, in order, and print what stands below them;
 * its configs load; its code compiles. A block marked `fragment` is a part of something and is only read.
 */
import { cpSync, existsSync, globSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { builtins } from '#actors/index';
import { machineNames } from '#runtime/cli/builtins';
import { loadConfig } from '#runtime/supervise/load-config';
import { CliFolder, type Ended, type Running } from '../rig/cli.ts';
import { isEveryday } from '../rig/tier.ts';
import { Turns } from '../rig/turns.ts';
import { type Block, blocksOf, commandsOf, missingLine, wordsOf } from './page.ts';

/** Pages at a time: each starts a realm, and a machine that starts ten at once starts none in time. */
const AT_A_TIME = 3;

const PAGES = ['README.md', ...globSync('docs/*.md')];
/** The page whose commands every run runs. */
const EVERYDAY = 'README.md';
/** Where a realm runs in the foreground until Ctrl-C, written ^C. */
const FOREGROUND = /^(?:npm start|(?:npx )?infrafabric up\b(?!.*(?: -d| --detach)))/;

const turns = new Turns(AT_A_TIME);

for (const page of PAGES) {
  const blocks = blocksOf(page);
  if (blocks.some(({ language }) => language === 'console')) {
    test.skipIf(isEveryday && page !== EVERYDAY)(
      `${page} shows commands that run and print what it says`,
      async (t) => {
        await using _turn = await turns.take();
        await using folder = new CliFolder();
        furnish(folder.path);
        const shell = new Shell(t, folder, page);
        for (const block of blocks) {
          if (block.file !== undefined) write(join(folder.path, shell.cwd), block);
          if (block.language === 'console') await shell.run(block);
        }
        await shell.end();
      },
    );
  }
  if (blocks.some(({ language, isFragment }) => language === 'yaml' && !isFragment)) {
    test(`${page} shows configs that load`, async (t) => {
      await using folder = new CliFolder();
      for (const block of blocks) if (block.file !== undefined) write(folder.path, block);
      for (const { text, line } of blocks.filter((block) => block.language === 'yaml' && !block.isFragment)) {
        const file = join(folder.path, `line-${line}.yaml`);
        writeFileSync(file, text.includes('realm:') ? text : `realm: docs\n${text}`);
        t.notThrows(() => loadConfig(file, { env: {}, machines: machineNames(builtins) }), `${page}:${line}`);
      }
    });
  }
}

test('links between the pages lead somewhere, and the index names every page', (t) => {
  const index = readFileSync('docs/README.md', 'utf8');
  for (const page of globSync('docs/*.md')) {
    const name = basename(page);
    t.true(name === 'README.md' || index.includes(`](${name})`), `${page} is not in the index`);
  }
  for (const page of PAGES) {
    for (const [, link = ''] of readFileSync(page, 'utf8').matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^(?:https?:|#)/.test(link)) continue;
      t.true(existsSync(join(dirname(page), link.replace(/#.*$/, ''))), `${page}: ${link}`);
    }
  }
});

test.skipIf(isEveryday)('code in the pages compiles', async (t) => {
  await using folder = new CliFolder();
  furnish(folder.path);
  for (const page of PAGES) {
    const root = join(folder.path, page.replaceAll(/[^a-z]/gi, '_'));
    for (const block of blocksOf(page).filter(
      ({ language, isFragment }) => language === 'ts' && !isFragment,
    )) {
      write(root, { ...block, file: block.file ?? `line-${block.line}.ts` });
    }
  }
  const config = {
    extends: resolve('tsconfig.json'),
    compilerOptions: { noUnusedLocals: false, types: ['node'], typeRoots: [resolve('node_modules/@types')] },
    // What the compiler of the checkout is told beside what files import.
    include: ['**/*.ts', resolve('runtime/sandbox/world/webassembly.d.ts')],
    exclude: ['deploy', 'node_modules'],
  };
  writeFileSync(join(folder.path, 'tsconfig.json'), JSON.stringify(config));
  const { code, out } = await folder.shell(`'${resolve('node_modules/.bin/tsc')}' --pretty false`);
  t.is(code, 0, out);
});

/** What a reader has around: this checkout's examples, and the package as npm would have installed it. */
function furnish(folder: string): void {
  cpSync(resolve('deploy/examples'), join(folder, 'deploy/examples'), {
    recursive: true,
    filter: (source) => !source.includes('.infrafabric'),
  });
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}\n');
  const modules = join(folder, 'node_modules');
  mkdirSync(join(modules, '@nats-io'), { recursive: true });
  symlinkSync(resolve('.'), join(modules, 'infrafabric'));
  for (const name of ['xstate', 'ava', 'openai', '@nats-io/transport-node']) {
    symlinkSync(resolve('node_modules', name), join(modules, name));
  }
}

function write(folder: string, { file = '', text }: Block): void {
  const path = join(folder, file);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}

/** Runs a page's commands one after the other; the realms it starts go on beside them. */
class Shell {
  cwd = '.';
  readonly #t: ExecutionContext;
  readonly #folder: CliFolder;
  readonly #page: string;
  readonly #realms: Running[] = [];

  constructor(t: ExecutionContext, folder: CliFolder, page: string) {
    this.#t = t;
    this.#folder = folder;
    this.#page = page;
  }

  async run(block: Block): Promise<void> {
    for (const { line, expected } of commandsOf(block)) {
      const where = `${this.#page}:${block.line}: $ ${line}`;
      const [, into] = /^cd (\S+)$/.exec(line) ?? [];
      if (into !== undefined) this.cwd = join(this.cwd, into);
      else if (FOREGROUND.test(line)) await this.#foreground(line, expected, where);
      else {
        const { code, out, err } = await this.#ended(line);
        const missing = missingLine(expected, `${out}\n${err}`);
        this.#t.is(missing, undefined, `${where}\n${out}${err}`);
        // What a page shows as an error is one.
        this.#t.is(code === 0, !expected.some((text) => text.startsWith('error[')), `${where}\n${out}${err}`);
      }
    }
  }

  async end(): Promise<void> {
    for (const realm of this.#realms) realm.process.kill('SIGINT');
    for (const { ended } of this.#realms) await ended;
    await this.#folder.shell(`cd ${this.cwd} && infrafabric down --force`);
  }

  /** A plain command line runs within this process, as the tests of the command line do; a shell takes the rest. */
  #ended(line: string): Promise<Ended> {
    const [command, ...words] = wordsOf(line) ?? [];
    const args = command === 'npx' ? words.slice(1) : words;
    return command === 'infrafabric' || (command === 'npx' && words[0] === 'infrafabric')
      ? this.#folder.run(args, '', this.cwd)
      : this.#folder.shell(`cd ${this.cwd}\n${line}`);
  }

  async #foreground(line: string, expected: readonly string[], where: string): Promise<void> {
    const script = line === 'npm start' ? npmStart() : line;
    const realm = this.#folder.startShell(`cd ${this.cwd}\nexec ${script}`);
    const stopAt = expected.indexOf('^C');
    const before = stopAt === -1 ? expected : expected.slice(0, stopAt);
    await realm.until(/Try next[\s\S]*\n\n/);
    this.#t.is(missingLine(before, realm.out), undefined, `${where}\n${realm.out}`);
    if (stopAt === -1) {
      this.#realms.push(realm);
      return;
    }
    realm.process.kill('SIGINT');
    const { out } = await realm.ended;
    this.#t.is(missingLine(expected.slice(stopAt + 1), out), undefined, `${where}\n${out}`);
  }
}

/** The script of package.json, with this checkout's entry. */
function npmStart(): string {
  const { scripts } = JSON.parse(readFileSync('package.json', 'utf8')) as { scripts: { start: string } };
  return `env npm_command=start ${scripts.start.replace('node actors/infrafabric.js', 'infrafabric')}`;
}
