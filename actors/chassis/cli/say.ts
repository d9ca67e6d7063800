/** How runs and components are told to people. */
import type { Out } from '#runtime/cli/io';
import type { SandboxRun } from '#schemas/sandbox';
import type { ComponentView } from '#schemas/service-contract';
import { formatBytes } from '#schemas/units';

/** `done, fuel 1,204, 0.41 ms, 64KiB, no calls, jail full`. */
export function runLine(
  { exit, fuel, ms, memoryBytes, hostCalls, level, message }: SandboxRun,
  { palette }: Out,
): string {
  const verdict = exit === 'done' ? palette.good(exit) : palette.bad(exit);
  const calls = hostCalls === 0 ? 'no calls' : `${hostCalls} calls`;
  const why = message === null ? '' : `: ${message}`;
  const jail = level === '' ? '' : `, jail ${level}`;
  return `${verdict}${why}, fuel ${count(fuel)}, ${ms.toFixed(2)} ms, ${formatBytes(memoryBytes)}, ${calls}${jail}`;
}

/** `1,000 runs, p99 12 ms, 99.9 % good, 100 % answered`. */
export function sloLine({ slo, contract }: ComponentView, { palette }: Out): string {
  if (slo.runs === 0) return 'no runs yet';
  const tell = (name: 'p99Ms' | 'successRate' | 'availability', text: string): string =>
    slo.broken.includes(name) ? palette.bad(`${text} (promised ${contract?.slo[name]})`) : text;
  return [
    `${count(slo.runs)} runs`,
    tell('p99Ms', `p99 ${slo.p99Ms === null ? '–' : slo.p99Ms.toFixed(1)} ms`),
    tell('successRate', `${percent(slo.successRate)} good`),
    tell('availability', `${percent(slo.availability)} answered`),
  ].join(', ');
}

export function count(value: number): string {
  return value.toLocaleString('en-US');
}

function percent(share: number | null): string {
  return share === null ? '–' : `${Number((share * 100).toFixed(2))} %`;
}
