/** What was refused to this process, by Node's permission model or by confine.ts: a pure machine asks for nothing. */
import { subscribe } from 'node:diagnostics_channel';
import type { Refusal } from './report.ts';

/** Kinds of rights that Node tells of, each on a channel of its own. */
const CHANNELS = ['fs', 'child', 'net', 'worker', 'wasi', 'inspector', 'addon', 'ffi'] as const;
/** Different refusals kept; more of the same only count. */
const REFUSALS_MAX = 20;
/** Of the name of what was refused: a machine makes it up. */
const RESOURCE_CHARS_MAX = 1_000;

export interface Refusals {
  tell(permission: string, resource: string): void;
  list(): readonly Refusal[];
}

/** Looks on from now on. */
export function watchRefusals(): Refusals {
  const refused = new Map<string, Refusal>();
  const tell = (permission: string, whole: string): void => {
    const resource = whole.slice(0, RESOURCE_CHARS_MAX);
    const key = `${permission} ${resource}`;
    const known = refused.get(key);
    if (known === undefined && refused.size >= REFUSALS_MAX) return;
    refused.set(key, { permission, resource, count: (known?.count ?? 0) + 1 });
  };
  const take = (message: unknown): void => {
    const { permission, resource } = message as { readonly permission: string; readonly resource?: string };
    tell(permission, resource ?? '');
  };
  for (const channel of CHANNELS) subscribe(`node:permission-model:${channel}`, take);
  return { tell, list: () => [...refused.values()] };
}
