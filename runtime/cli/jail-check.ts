/** What `doctor` says of the jail for sandboxed tasks: a line per layer. */
import { type Layer, type LayerName, reportLayers } from '#runtime/sandbox/jail/layers';
import type { Check } from './render/checks.ts';

const REMEDIES: Readonly<Record<LayerName, string>> = {
  namespaces: 'Install bubblewrap, and let its user make namespaces.',
  seccomp: 'Use a kernel with seccomp, on x64 or arm64.',
  permissions: 'Run it with Node 26.',
  cgroup: 'Give the node a control group that it may divide: docs/chassis-audit.md says how.',
  rlimits: 'Provide /bin/sh.',
};

export async function jailChecks(): Promise<Check[]> {
  return (await reportLayers()).map(jailCheck);
}

/** A layer that is missing keeps nobody from anything but sandboxed tasks with `require: full`. */
export function jailCheck({ name, isOn, seen }: Layer): Check {
  const check = { name: `jail ${name}`, seen };
  return isOn ? { ...check, state: 'ok' } : { ...check, state: 'warn', todo: REMEDIES[name] };
}
