/**
 * Keeps the files of a board in a git repository, for those who still poll it.
 *
 * R1 Only files that are as this realm's mirror left them are written or taken away; what somebody else made or changed
 *    is left, and told. A list of what was left how lies beside them.
 * R2 No commit of anybody is lost: a branch moves only forward from where it was seen, and is never pushed by force. Only
 *    unpushed commits of mirrors are made anew on top of what others pushed.
 * R3 Nothing is kept outside the repository: a mirror that starts again goes on from what lies there.
 * R4 A commit only where the files differ.
 */
import { z } from 'zod';
import { FabricError } from '#schemas/fabric-error';
import { coordinatorErrors } from '../errors.ts';
import type { Author, Git } from './git.ts';

export interface MirrorOptions {
  readonly git: Git;
  readonly realm: string;
  readonly branch: string;
  /** Folder in the repository, `''` for its root. */
  readonly folder: string;
  /** Remote to push to; absent: nothing is pushed. */
  readonly push?: string;
  readonly author: Author;
  /** ms since the epoch. */
  readonly now: () => number;
}

export interface Mirrored {
  /** The branch's tip now; undefined where there was nothing to write and no branch. */
  readonly commit: string | undefined;
  /** Files written or taken away; empty where nothing differed. */
  readonly changed: readonly string[];
  /** R1: files left to whoever changed them. */
  readonly left: readonly string[];
}

/** Marks commits of mirrors. */
export const TRAILER = 'InfraFabric-Mirror';
/** What the mirror left in the folder, by hash. */
const LIST_FILE = '.infrafabric-mirror.json';
const listSchema = z.object({ realm: z.string(), files: z.record(z.string(), z.string()) });
/** Others write to the branch at the same moment: then all is looked at again. */
const TRIES_MAX = 5;

/**
 * Brings the branch to these files.
 *
 * Throws `mirror_bad_branch`, `mirror_branch_in_use`, `mirror_diverged`, `mirror_no_folder`, `mirror_other_realm`,
 * `git_failed`.
 */
export async function mirrorOnce(
  files: ReadonlyMap<string, string>,
  options: MirrorOptions,
): Promise<Mirrored> {
  const { git, branch, push } = options;
  if (!(await git.isBranchName(branch)))
    throw new FabricError(coordinatorErrors.mirror_bad_branch, `"${branch}" is no name of a branch`);
  if (await git.isCheckedOut(branch))
    throw new FabricError(coordinatorErrors.mirror_branch_in_use, `The branch ${branch} is checked out`);
  for (let tries = 1; ; tries += 1) {
    const local = await git.commitOf(`refs/heads/${branch}`);
    const remote = push === undefined ? undefined : await git.fetch(push, branch);
    const parent = await baseOf(local, remote, options);
    const { changes, left } = await changesOf(files, parent, options);
    const commit =
      changes.size === 0
        ? undefined
        : await git.commit({ ...message(changes, options), parent, changes, at: options.now() });
    const tip = commit ?? parent;
    if (tip === undefined) return { commit: undefined, changed: [], left };
    const isMoved = tip === local || (await git.move(branch, tip, local));
    const isPushed = !isMoved || push === undefined || tip === remote || (await git.push(push, tip, branch));
    if (isMoved && isPushed) return { commit: tip, changed: [...changes.keys()], left };
    if (tries === TRIES_MAX)
      throw new FabricError(coordinatorErrors.git_failed, `Others write to ${branch} all the time`);
  }
}

/** What to build on (R2). */
async function baseOf(
  local: string | undefined,
  remote: string | undefined,
  { git, branch }: MirrorOptions,
): Promise<string | undefined> {
  if (local === undefined || remote === undefined) return local ?? remote;
  if (local === remote || (await git.isAncestor(remote, local))) return local;
  if (await git.isAncestor(local, remote)) return remote;
  const trailers = await git.trailersOf(remote, local, TRAILER);
  if (trailers.includes(''))
    throw new FabricError(
      coordinatorErrors.mirror_diverged,
      `The branch ${branch} has commits of others that were never pushed`,
    );
  return remote;
}

async function changesOf(
  files: ReadonlyMap<string, string>,
  parent: string | undefined,
  { git, folder, realm }: MirrorOptions,
): Promise<{ readonly changes: Map<string, string | undefined>; readonly left: string[] }> {
  const at = (name: string): string => (folder === '' ? name : `${folder}/${name}`);
  const there = parent === undefined ? new Map<string, string>() : await git.entries(parent, folder);
  const list = there.has(LIST_FILE) ? await git.textOf(parent ?? '', at(LIST_FILE)) : undefined;
  const ours = new Map(Object.entries(listOf(list, realm)));
  const gone = [...ours.keys()].filter((name) => !files.has(name) && there.has(name));
  const changes = new Map<string, string | undefined>();
  const left: string[] = [];
  for (const [name, text] of [...files, ...gone.map((one) => [one, undefined] as const)]) {
    const [is, wanted] = [there.get(name), text === undefined ? undefined : git.hashOf(text)];
    // R1.
    if (is !== undefined && is !== ours.get(name)) left.push(at(name));
    else if (is !== wanted) changes.set(at(name), text);
    if (left.at(-1) === at(name)) continue;
    if (wanted === undefined) ours.delete(name);
    else ours.set(name, wanted);
  }
  if (changes.size > 0) {
    const sorted = [...ours].toSorted(([a], [b]) => (a < b ? -1 : 1));
    changes.set(
      at(LIST_FILE),
      `${JSON.stringify({ realm, files: Object.fromEntries(sorted) }, undefined, 2)}\n`,
    );
  }
  return { changes, left };
}

/** What this realm's mirror left, by name and hash; nothing where there is no list. Throws `mirror_other_realm`. */
function listOf(text: string | undefined, realm: string): Readonly<Record<string, string>> {
  let data: unknown;
  try {
    data = JSON.parse(text ?? 'null');
  } catch {
    // Somebody wrote into it: then nothing is known to be ours.
    return {};
  }
  const parsed = listSchema.safeParse(data);
  if (!parsed.success) return {};
  if (parsed.data.realm !== realm) {
    const what = `The mirror of realm "${parsed.data.realm}" is in this folder`;
    throw new FabricError(coordinatorErrors.mirror_other_realm, what);
  }
  return parsed.data.files;
}

function message(
  changes: ReadonlyMap<string, string | undefined>,
  { realm, author }: MirrorOptions,
): { readonly message: string; readonly author: Author } {
  const names = [...changes.keys()]
    .map((path) => path.slice(path.lastIndexOf('/') + 1))
    .filter((name) => name !== LIST_FILE);
  const shown =
    names.length <= 3 ? names.join(', ') : `${names.slice(0, 3).join(', ')} and ${names.length - 3} more`;
  return { message: `Board of ${realm}: ${shown}\n\n${TRAILER}: ${realm}\n`, author };
}
