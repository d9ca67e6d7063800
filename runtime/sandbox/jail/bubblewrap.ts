/**
 * The namespaces of a jail's process.
 *
 * B1  It sees the Node binary, the libraries of that binary, and the folders it is given, all read-only; no /proc,
 *     /dev, /sys, /etc, /tmp, no home.
 * B2  No network but an empty one of its own, no process but its own, no capability, no environment.
 * B3  It dies with the node.
 */

import { join } from 'node:path';

/** The path of a shared library. */
export type Library = string;

/** A file or folder that a process may read, and its place below {@link INSIDE}. */
export interface Mount {
  readonly outside: string;
  readonly inside: string;
}

export interface BubblewrapOptions {
  readonly node: string;
  readonly libraries: readonly Library[];
  readonly reads: readonly Mount[];
  readonly hasSeccomp: boolean;
}

export const INSIDE = '/jail';
const NODE_INSIDE = `${INSIDE}/node`;
/** Nobody, wherever files have owners. */
const UID = '65534';
export const SECCOMP_FD = 3;

/** Arguments of bwrap up to and with the program; the program's own follow. */
export function bubblewrapArguments({ node, libraries, reads, hasSeccomp }: BubblewrapOptions): string[] {
  const readOnly = (outside: string, inside: string): string[] => ['--ro-bind', outside, inside];
  return [
    ...['--unshare-all', '--unshare-user', '--uid', UID, '--gid', UID, '--hostname', 'jail'], // B2
    ...['--cap-drop', 'ALL', '--clearenv', '--new-session', '--die-with-parent'], // B2, B3
    ...readOnly(node, NODE_INSIDE), // B1
    ...libraries.flatMap((path) => readOnly(path, path)),
    ...reads.flatMap(({ outside, inside }) => readOnly(outside, join(INSIDE, inside))),
    ...['--chdir', INSIDE, '--remount-ro', '/'],
    ...(hasSeccomp ? ['--seccomp', String(SECCOMP_FD)] : []),
    '--',
    NODE_INSIDE,
  ];
}
