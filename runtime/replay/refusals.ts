/** What Node's permission model refused to this process: a pure machine asks for nothing. */
import { subscribe } from 'node:diagnostics_channel';
import type { Refusal } from './report.ts';

/** Kinds of rights that Node tells of, each on a channel of its own. */
const CHANNELS = ['fs', 'child', 'net', 'worker', 'wasi', 'inspector', 'addon', 'ffi'] as const;
/** Different refusals kept; more of the same only count. */
const REFUSALS_MAX = 20;

/** Looks on from now on; the function gives what was refused so far. */
export function watchRefusals(): () => readonly Refusal[] {
  const refused = new Map<string, Refusal>();
  const take = (message: unknown): void => {
    const { permission, resource } = message as { readonly permission: string; readonly resource?: string };
    const key = `${permission} ${resource ?? ''}`;
    const known = refused.get(key);
    if (known === undefined && refused.size >= REFUSALS_MAX) return;
    refused.set(key, { permission, resource: resource ?? '', count: (known?.count ?? 0) + 1 });
  };
  for (const channel of CHANNELS) subscribe(`node:permission-model:${channel}`, take);
  return () => [...refused.values()];
}
