import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { FabricError } from '#schemas/fabric-error';
import type { TaskView } from '#schemas/task-view';
import { planImport } from '../../actors/coordinator/import/plan.ts';
import { readFiles } from '../../actors/coordinator/import/read.ts';
import { mirrorFiles } from '../../actors/coordinator/mirror/files.ts';
import { Git } from '../../actors/coordinator/mirror/git.ts';
import { keepMirrored } from '../../actors/coordinator/mirror/keep.ts';
import { type Mirrored, mirrorOnce } from '../../actors/coordinator/mirror/mirror.ts';
import { taskView } from './views.ts';

const ENV = { PATH: process.env['PATH'], HOME: '/nonexistent', GIT_CONFIG_NOSYSTEM: '1' };
const AUTHOR = { name: 'Mirror', email: 'mirror@example.invalid' };
const BRANCH = 'board';

class Repository {
  readonly path = mkdtempSync(join(tmpdir(), 'if-git-'));
  constructor(t: ExecutionContext, args: readonly string[] = ['--bare']) {
    this.git('init', '-q', '-b', 'main', ...args, '.');
    t.teardown(() => rmSync(this.path, { recursive: true, force: true }));
  }

  git(...args: string[]): string {
    const input = args[0] === 'fast-import' ? args.pop() : undefined;
    const by = ['-c', 'user.name=Somebody', '-c', 'user.email=somebody@example.invalid'];
    return execFileSync('git', ['-C', this.path, ...by, ...args], {
      env: ENV,
      ...(input !== undefined && { input }),
      encoding: 'utf8',
      stdio: ['pipe', 'pipe', 'pipe'],
    }).trimEnd();
  }

  /** Somebody commits a file to the branch. */
  edit(name: string, text: string | undefined): string {
    const change = text === undefined ? `D ${name}` : `M 100644 inline ${name}\ndata ${text.length}\n${text}`;
    const ref = `refs/heads/${BRANCH}`;
    const input = `commit ${ref}\ncommitter Somebody <s@example.invalid> now\ndata 7\nBy hand\nfrom ${ref}^0\n${change}\n`;
    this.git('fast-import', '--quiet', '--date-format=now', input);
    return this.git('rev-parse', BRANCH);
  }

  text(name: string): string {
    return this.git('show', `${BRANCH}:${name}`);
  }

  commits(): number {
    return Number(this.git('rev-list', '--count', BRANCH));
  }
}

async function mirror(
  { path }: Pick<Repository, 'path'>,
  tasks: readonly TaskView[],
  more: {
    readonly push?: string;
    readonly branch?: string;
    readonly folder?: string;
    readonly now?: () => number;
    readonly realm?: string;
  } = {},
): Promise<Mirrored> {
  const options = { realm: 'demo', branch: BRANCH, folder: '', author: AUTHOR, now: Date.now, ...more };
  return mirrorOnce(mirrorFiles(tasks, 'demo'), { git: await Git.open(path, ENV), ...options });
}

const BUSY: readonly TaskView[] = [
  taskView('A1', {
    title: 'Pipes | and more',
    status: 'completed',
    worker: 'session/cli',
    changedAt: 1_000,
    milestone: 100,
  }),
  taskView('A2', {
    status: 'blocked',
    worker: 'session/bus',
    deps: ['A1'],
    milestone: 40,
    note: 'Half: of it',
    blockedOn: { on: 'A3', kind: 'task', since: 2_000 },
    changedAt: 2_000,
    owner: 'bus',
  }),
  taskView('A3', { status: 'available', estimate: { hours: 2, costMicros: null }, deliverables: ['a.ts'] }),
  taskView('F1', { status: 'claimed', worker: 'session/bus', filler: true, changedAt: 3_000, owner: 'bus' }),
];

test('what is mirrored can be imported, and says nothing new to the board it came from', (t) => {
  const files = [...mirrorFiles(BUSY, 'demo')].map(([file, text]) => ({ file, text }));
  t.deepEqual(
    files.map(({ file }) => file),
    ['BOARD.md', 'STATUS-BUS.yaml', 'STATUS-CLI.yaml'],
  );
  const wanted = readFiles(files);
  t.deepEqual(wanted.remarks, []);
  const plan = planImport(wanted, BUSY, []);
  t.deepEqual(plan.add, []);
  t.deepEqual(
    plan.steps.filter(({ address }) => address.startsWith('task/')),
    [],
  );
  // And to an empty board it brings all there is to say.
  const fresh = planImport(wanted, [], []);
  t.is(fresh.add.length, 4);
  t.true(fresh.steps.some(({ event }) => event.type === 'task.block' && event['on'] === 'A3'));
});

test('a change is a commit, no change is none, and a mirror that starts again goes on', async (t) => {
  const repository = new Repository(t);
  const first = await mirror(repository, BUSY);
  t.is(first.changed.length, 4);
  t.deepEqual((await mirror(repository, BUSY)).changed, []);
  t.is(repository.commits(), 1);
  const [a1, ...rest] = BUSY;
  const later = await mirror(repository, [a1 as TaskView, ...rest.filter(({ id }) => id !== 'F1')]);
  t.deepEqual(later.changed.toSorted(), ['.infrafabric-mirror.json', 'BOARD.md', 'STATUS-BUS.yaml']);
  t.is(repository.commits(), 2);
  t.regex(
    repository.git('log', '-1', '--format=%an%n%B', BRANCH),
    /^Mirror\nBoard of demo: .*\n\nInfraFabric-Mirror: demo$/,
  );
  t.is(repository.git('rev-parse', `${BRANCH}~1`), first.commit ?? '');
  await mirror(repository, [a1 as TaskView]);
  t.throws(() => repository.text('STATUS-BUS.yaml'), undefined, 'who does nothing has no file');
});

test("what others wrote stays theirs: their files, their changes to ours, and the files of a folder's neighbours", async (t) => {
  const repository = new Repository(t);
  await mirror(repository, BUSY);
  repository.edit('NOTES.md', 'mine\n');
  repository.edit('STATUS-BUS.yaml', 'by hand\n');
  const theirs = repository.edit('STATUS-OTHER.yaml', 'by hand too\n');
  const { left, changed, commit } = await mirror(repository, [taskView('A1', { title: 'New title' })]);
  t.deepEqual(left, ['STATUS-BUS.yaml']);
  t.deepEqual(changed.toSorted(), ['.infrafabric-mirror.json', 'BOARD.md', 'STATUS-CLI.yaml']);
  t.is(repository.text('STATUS-OTHER.yaml'), 'by hand too');
  t.is(repository.text('NOTES.md'), 'mine');
  t.is(repository.text('STATUS-BUS.yaml'), 'by hand');
  t.is(repository.git('rev-parse', `${commit}~1`), theirs, 'on top of what they committed');
  // Who takes the file away gives the place back.
  repository.edit('STATUS-BUS.yaml', undefined);
  t.true((await mirror(repository, BUSY)).changed.includes('STATUS-BUS.yaml'));
});

test('the mirror of another realm in the same folder is left as it is', async (t) => {
  const repository = new Repository(t);
  await mirror(repository, BUSY);
  await t.throwsAsync(mirror(repository, BUSY, { realm: 'other' }), {
    code: 'mirror_other_realm',
    message: /"demo"/,
  });
  t.deepEqual((await mirror(repository, BUSY)).changed, []);
  t.not((await mirror(repository, BUSY, { realm: 'other', folder: 'b' })).commit, undefined);
});

test('a branch somebody works on is left alone', async (t) => {
  const repository = new Repository(t, []);
  repository.git('commit', '-q', '--allow-empty', '-m', 'Begin');
  const error = await t.throwsAsync<FabricError>(mirror(repository, BUSY, { branch: 'main' }));
  t.is(error?.code, 'mirror_branch_in_use');
  t.is(repository.git('status', '--porcelain'), '');
  const { commit } = await mirror(repository, BUSY, { folder: 'docs/board' });
  t.is(repository.git('status', '--porcelain'), '', 'no worktree, no index');
  t.true(repository.git('show', '--format=', '--name-only', commit ?? '').includes('docs/board/BOARD.md'));
});

test('a branch that git cannot write is not told as one that others write to', async (t) => {
  const repository = new Repository(t);
  for (const branch of ['bad..name', '-x', '@{-1}', '']) {
    const error = await t.throwsAsync<FabricError>(mirror(repository, BUSY, { branch }));
    t.is(error?.code, 'mirror_bad_branch', branch);
  }
  await mirror(repository, BUSY);
  const error = await t.throwsAsync<FabricError>(mirror(repository, BUSY, { branch: `${BRANCH}/below` }));
  t.is(error?.code, 'git_failed');
  t.regex(error?.message ?? '', /'refs\/heads\/board' exists; cannot create 'refs\/heads\/board\/below'/);
});

test('from a subfolder of a worktree the same is seen as from its root', async (t) => {
  const repository = new Repository(t, []);
  repository.git('commit', '-q', '--allow-empty', '-m', 'Begin');
  const below = { path: join(repository.path, 'sub') };
  mkdirSync(below.path);
  for (const folder of ['', 'docs/board']) {
    await mirror(below, BUSY, { folder });
    const at = (name: string): string => (folder === '' ? name : `${folder}/${name}`);
    const theirs = repository.edit(at('STATUS-BUS.yaml'), 'by hand\n');
    const { left, changed } = await mirror(below, BUSY, { folder });
    t.deepEqual(left, [at('STATUS-BUS.yaml')]);
    t.deepEqual(changed, []);
    t.is(repository.git('rev-parse', BRANCH), theirs, 'R4');
  }
});

test('what stands in the place of the folder, or of a file, is no less theirs where it is of another kind', async (t) => {
  const repository = new Repository(t);
  await mirror(repository, [taskView('A1')]);
  repository.edit('notes', 'mine\n');
  repository.edit('STATUS-BUS.yaml/why.md', 'mine\n');
  const theirs = repository.edit('docs/.infrafabric-mirror.json/why.md', 'mine\n');
  for (const folder of ['notes', 'notes/board']) {
    const error = await t.throwsAsync<FabricError>(mirror(repository, BUSY, { folder }));
    t.is(error?.code, 'mirror_no_folder');
  }
  const unlisted = await t.throwsAsync<FabricError>(mirror(repository, BUSY, { folder: 'docs' }));
  t.is(unlisted?.code, 'git_failed');
  t.is(repository.git('rev-parse', BRANCH), theirs);
  const { left } = await mirror(repository, BUSY);
  t.deepEqual(left, ['STATUS-BUS.yaml']);
  t.is(repository.text('STATUS-BUS.yaml/why.md'), 'mine');
  t.is(repository.text('notes'), 'mine');
});

test('who commits between the look and the move is not run over', async (t) => {
  const repository = new Repository(t);
  await mirror(repository, BUSY);
  let theirs: string | undefined;
  const { commit } = await mirror(repository, [taskView('A1', { title: 'Later' })], {
    // Asked for between the two.
    now: () => {
      theirs ??= repository.edit('NOTES.md', 'mine\n');
      return Date.now();
    },
  });
  t.is(repository.git('rev-parse', `${commit}~1`), theirs ?? '');
  t.is(repository.text('NOTES.md'), 'mine');
});

test('pushing never forces: what others pushed meanwhile stays below', async (t) => {
  const shared = new Repository(t);
  const own = new Repository(t);
  await mirror(own, BUSY, { push: shared.path });
  const theirs = shared.edit('NOTES.md', 'mine\n');
  // Not pushed, as when the remote was away.
  await mirror(own, [taskView('A1', { title: 'Unpushed' })]);
  const { commit } = await mirror(own, [taskView('A1', { title: 'Pushed' })], { push: shared.path });
  t.is(shared.git('rev-parse', BRANCH), commit ?? '');
  t.is(own.git('rev-parse', BRANCH), commit ?? '');
  t.is(shared.git('rev-parse', `${BRANCH}~1`), theirs);
  t.is(shared.text('NOTES.md'), 'mine');
  t.regex(shared.text('BOARD.md'), /A1: Pushed/);
});

test("a local branch with somebody's unpushed commits that diverged is not moved", async (t) => {
  const shared = new Repository(t);
  const own = new Repository(t);
  await mirror(own, BUSY, { push: shared.path });
  const kept = own.edit('LOCAL.md', 'unpushed\n');
  shared.edit('NOTES.md', 'mine\n');
  const error = await t.throwsAsync<FabricError>(
    mirror(own, [taskView('A1', { title: 'Changed' })], { push: shared.path }),
  );
  t.is(error?.code, 'mirror_diverged');
  t.is(own.git('rev-parse', BRANCH), kept);
});

test('a mirror at work commits on change, at most once in its time, and goes on after an error', async (t) => {
  const stop = new AbortController();
  const looks: number[] = [];
  let happens: () => void = () => undefined;
  let count = 0;
  const done = keepMirrored({
    everyMs: 100,
    resyncMs: 60_000,
    signal: stop.signal,
    happened: () => new Promise((resolve) => (happens = resolve)),
    mirror: async () => {
      looks.push(performance.now());
      if (looks.length === 2) throw new Error('locked');
      return { commit: 'c', changed: [], left: [] };
    },
    told: () => {
      count += 1;
      // Something happens at once, each time: the pace is the mirror's.
      if (count < 5) happens();
      else stop.abort();
    },
  });
  await done;
  t.is(count, 5);
  for (const [n, at] of looks.slice(1).entries())
    t.true(at - (looks[n] ?? at) >= 99, `${at - (looks[n] ?? at)} ms`);
});
