/** How runs and components are told to people. */
import { isUtf8 } from 'node:buffer';
import type { Io, Out } from '#runtime/cli/io';
import { cut } from '#runtime/cli/render/format';
import type { Layer } from '#runtime/sandbox/jail/layers';
import type { SandboxRun } from '#schemas/sandbox';
import type { ComponentView } from '#schemas/service-contract';
import { formatBytes } from '#schemas/units';
import { levelOf } from '../chamber.ts';

/** More of a guest's words is for `--json`. */
const WORDS_MAX = 1_000;
/** Control characters but for lines and tabs. */
const CONTROLS = /[^\P{Cc}\n\t]/gu;

/** What a guest said, on one line and without what a terminal would obey. */
export function words(text: string): string {
  return cut(text, WORDS_MAX);
}

/** What a guest put out: as it is for a file or a program, without what a terminal would obey for eyes. Text ends its line. */
export function putOut(bytes: Uint8Array, { stdout }: Io, { json }: Out): void {
  if (json) return;
  const isText = isUtf8(bytes);
  if (stdout.isTTY === true) stdout.write(new TextDecoder().decode(bytes).replace(CONTROLS, ' '));
  else stdout.write(bytes);
  if ((isText || stdout.isTTY === true) && bytes.at(-1) !== NEW_LINE) stdout.write('\n');
}

const NEW_LINE = 0x0a;

/** Nobody thinks himself safer than he is. */
export function tellMissing(layers: readonly Layer[], out: Out): void {
  const missing = layers.filter(({ isOn }) => !isOn);
  if (missing.length === 0) return;
  const names = missing.map(({ name, seen }) => `${name} (${seen})`).join(', ');
  out.note(`warning: the jail is ${levelOf(layers)}, without ${names}`);
}

/** `done, fuel 1,204, 0.41 ms, 64KiB, no calls, jail full`. */
export function runLine(
  { exit, fuel, ms, memoryBytes, hostCalls, level, message }: SandboxRun,
  { palette }: Out,
): string {
  const verdict = exit === 'done' ? palette.good(exit) : palette.bad(exit);
  const calls = hostCalls === 0 ? 'no calls' : `${hostCalls} calls`;
  const why = message === null ? '' : `: ${words(message)}`;
  const jail = level === '' ? '' : `, jail ${level}`;
  return `${verdict}${why}, fuel ${count(fuel)}, ${ms.toFixed(2)} ms, ${formatBytes(memoryBytes)}, ${calls}${jail}`;
}

/** `1,000 runs, p99 12 ms, 99.9 % good, 100 % answered`. */
export function sloLine({ slo, contract }: ComponentView, { palette }: Out): string {
  if (slo.runs === 0) return 'no runs yet';
  const tell = (name: 'p99Ms' | 'successRate' | 'availability', text: string): string =>
    slo.broken.includes(name) ? palette.bad(`${text} (promised ${contract?.slo[name]})`) : text;
  return [
    slo.runs === 1 ? '1 run' : `${count(slo.runs)} runs`,
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
