/** The git program, on one repository: objects and references only, never a worktree or its index. */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { FabricError } from '#schemas/fabric-error';
import { coordinatorErrors } from '../errors.ts';

/** A push over a slow line; anything longer hangs. */
const GIT_TIMEOUT_MS = 120_000;
const OUTPUT_BYTES_MAX = 64 * 2 ** 20;
/** What a shell around us says of another repository. */
const OF_ANOTHER = ['GIT_DIR', 'GIT_WORK_TREE', 'GIT_INDEX_FILE', 'GIT_OBJECT_DIRECTORY', 'GIT_COMMON_DIR'];

/** Stands in a stream of commits, never in the repository. */
const SCRATCH = 'refs/infrafabric/scratch';

export interface Author {
  readonly name: string;
  readonly email: string;
}

export interface NewCommit {
  readonly parent: string | undefined;
  /** Path → text; undefined takes it away. */
  readonly changes: ReadonlyMap<string, string | undefined>;
  readonly message: string;
  readonly author: Author;
  /** ms since the epoch. */
  readonly at: number;
}

export class Git {
  readonly #folder: string;
  readonly #env: NodeJS.ProcessEnv;
  #format: 'sha1' | 'sha256' = 'sha1';

  private constructor(folder: string, env: Readonly<Record<string, string | undefined>>) {
    this.#folder = folder;
    const own = Object.entries(env).filter(([name]) => !OF_ANOTHER.includes(name));
    this.#env = { ...Object.fromEntries(own), GIT_TERMINAL_PROMPT: '0', LC_ALL: 'C' };
  }

  /** Throws `git_failed` where there is no repository, or no git. */
  static async open(folder: string, env: Readonly<Record<string, string | undefined>>): Promise<Git> {
    const git = new Git(folder, env);
    const { out } = await git.#must(['rev-parse', '--show-object-format']);
    if (out.trim() === 'sha256') git.#format = 'sha256';
    return git;
  }

  /** Commit of a reference; undefined where it is not there. */
  async commitOf(ref: string): Promise<string | undefined> {
    const { code, out } = await this.#run(['rev-parse', '--verify', '--quiet', `${ref}^{commit}`]);
    return code === 0 ? out.trim() : undefined;
  }

  /** Hash of a text as a file of this repository. */
  hashOf(text: string): string {
    const bytes = Buffer.from(text);
    return createHash(this.#format).update(`blob ${bytes.length}\0`).update(bytes).digest('hex');
  }

  /** Text of a file. Throws `git_failed` where no file is there. */
  async textOf(commit: string, path: string): Promise<string> {
    return (await this.#must(['cat-file', 'blob', `${commit}:${path}`])).out;
  }

  /**
   * What lies in a folder (`''` for the root) by name, with its hash: files, folders, submodules. Empty where the folder
   * is not there; throws `mirror_no_folder` where something else stands in its place.
   */
  async entries(commit: string, folder: string): Promise<ReadonlyMap<string, string>> {
    let found = await this.#list(commit);
    for (const name of folder === '' ? [] : folder.split('/')) {
      const entry = found.get(name);
      if (entry === undefined) return new Map();
      if (entry.type !== 'tree')
        throw new FabricError(
          coordinatorErrors.mirror_no_folder,
          `${name} in ${folder} is no folder in the branch`,
        );
      found = await this.#list(entry.hash);
    }
    return new Map([...found].map(([name, { hash }]) => [name, hash]));
  }

  async #list(tree: string): Promise<ReadonlyMap<string, { readonly type: string; readonly hash: string }>> {
    // Without --full-tree, git shows of a tree only what lies below the folder that it runs in.
    const { out } = await this.#must(['ls-tree', '--full-tree', '-z', tree]);
    const found = new Map<string, { readonly type: string; readonly hash: string }>();
    for (const line of out.split('\0')) {
      const [, type, hash, name] = /^\d+ (\w+) ([0-9a-f]+)\t(.+)$/s.exec(line) ?? [];
      if (type !== undefined && hash !== undefined && name !== undefined) found.set(name, { type, hash });
    }
    return found;
  }

  /** Commits of one that are not in the other, with the value of a trailer. */
  async trailersOf(from: string, to: string, key: string): Promise<string[]> {
    const format = `--format=%H %(trailers:key=${key},valueonly,separator=%x2C)`;
    const { out } = await this.#must(['log', format, `${from}..${to}`]);
    const lines = out.split('\n').filter((line) => line !== '');
    return lines.map((line) => line.slice(line.indexOf(' ') + 1).trim());
  }

  async isAncestor(commit: string, of: string): Promise<boolean> {
    return (await this.#run(['merge-base', '--is-ancestor', commit, of])).code === 0;
  }

  /** False also for what git would put another branch in the place of, such as `@{-1}`. */
  async isBranchName(branch: string): Promise<boolean> {
    const { code, out } = await this.#run(['check-ref-format', '--branch', branch]);
    return code === 0 && out.trimEnd() === branch;
  }

  /** True where a worktree has the branch checked out. */
  async isCheckedOut(branch: string): Promise<boolean> {
    const { out } = await this.#must(['worktree', 'list', '--porcelain', '-z']);
    return out.split('\0').includes(`branch refs/heads/${branch}`);
  }

  /** Writes a commit that no reference names yet. */
  async commit({ parent, changes, message, author, at }: NewCommit): Promise<string> {
    const lines = [
      `commit ${SCRATCH}`,
      'mark :1',
      `committer ${plain(author.name)} <${plain(author.email)}> ${Math.floor(at / 1_000)} +0000`,
      data(message),
      ...(parent === undefined ? [] : [`from ${parent}`]),
      ...[...changes].map(([path, text]) =>
        text === undefined ? `D ${quoted(path)}` : `M 100644 inline ${quoted(path)}\n${data(text)}`,
      ),
      '',
      'get-mark :1',
      // Of the commit itself only the hash is wanted.
      `reset ${SCRATCH}`,
      `from ${'0'.repeat(this.#format === 'sha256' ? 64 : 40)}`,
      '',
      'done',
      '',
    ];
    const args = ['fast-import', '--quiet', '--force', '--done', '--date-format=raw'];
    return (await this.#must(args, lines.join('\n'))).out.trim();
  }

  /** Moves a branch, unless somebody else moved it meanwhile: false. Throws `git_failed` where it cannot be written. */
  async move(branch: string, to: string, from: string | undefined): Promise<boolean> {
    const ref = `refs/heads/${branch}`;
    const before = from ?? '0'.repeat(to.length);
    const args = ['update-ref', '-m', 'infrafabric mirror', ref, to, before];
    const { code, err } = await this.#run(args);
    if (code === 0) return true;
    const now = await this.commitOf(ref);
    // Nobody moved it: then something else keeps it from being written, and trying again would not help.
    if (now === from) throw this.#failed(args, err);
    return now === to;
  }

  /** The tip of a remote's branch, its commits here; undefined where there is none. */
  async fetch(remote: string, branch: string): Promise<string | undefined> {
    const { out } = await this.#must(['ls-remote', '--heads', '--', remote, `refs/heads/${branch}`]);
    const [tip = ''] = out.split(/\s/);
    if (tip === '') return undefined;
    await this.#must([
      'fetch',
      '--quiet',
      '--no-tags',
      '--no-write-fetch-head',
      '--',
      remote,
      `refs/heads/${branch}`,
    ]);
    return tip;
  }

  /** Pushes without force; false where the remote has moved. */
  async push(remote: string, commit: string, branch: string): Promise<boolean> {
    const args = ['push', '--porcelain', '--quiet', '--', remote, `${commit}:refs/heads/${branch}`];
    const { code, out, err } = await this.#run(args);
    if (code === 0) return true;
    if (/\[rejected\]|\[remote rejected\].*(?:lock|changed|fast-forward)/.test(`${out}${err}`)) return false;
    throw this.#failed(args, err);
  }

  async #must(args: readonly string[], input?: string): Promise<{ readonly out: string }> {
    const { code, out, err } = await this.#run(args, input);
    if (code !== 0) throw this.#failed(args, err);
    return { out };
  }

  #failed(args: readonly string[], err: string): FabricError {
    const [said = 'it gave no reason'] = err.split('\n').filter((line) => line !== '');
    return new FabricError(coordinatorErrors.git_failed, `git ${args[0]} in ${this.#folder}: ${said}`, {
      details: { folder: this.#folder },
    });
  }

  #run(
    args: readonly string[],
    input = '',
  ): Promise<{ readonly code: number; readonly out: string; readonly err: string }> {
    return new Promise((resolve, reject) => {
      const child = execFile(
        'git',
        ['-C', this.#folder, ...args],
        { env: this.#env, timeout: GIT_TIMEOUT_MS, maxBuffer: OUTPUT_BYTES_MAX, encoding: 'utf8' },
        (error, out, err) => {
          if (error === null) resolve({ code: 0, out, err });
          else if (typeof error.code === 'number') resolve({ code: error.code, out, err });
          else reject(this.#failed(args, error.message));
        },
      );
      // A git that ends without reading closes the pipe; its exit code says why.
      child.stdin?.on('error', () => undefined);
      child.stdin?.end(input);
    });
  }
}

/** Text of any kind in a stream of fast-import. */
function data(text: string): string {
  return `data ${Buffer.byteLength(text)}\n${text}`;
}

/** A path as C writes a string. */
function quoted(path: string): string {
  return `"${path.replaceAll(/["\\]/g, '\\$&').replaceAll('\n', '\\n')}"`;
}

function plain(text: string): string {
  return text.replaceAll(/[<>\p{Cc}]/gu, ' ').trim();
}
