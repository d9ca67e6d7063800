/** The commands worth trying next, made of what this realm has. */
import type { KindConfig } from '#schemas/config';
import type { SupervisorSpec } from '#schemas/supervisor';
import type { Palette } from './palette.ts';

const FIRST_ID = 'k1';

/** How a command has to be written to be understood in the folder of the user. */
export interface Manner {
  readonly program: string;
  /** What names the realm, where the folder alone does not. */
  readonly options: string;
}

/** Three commands for a second terminal. */
export function welcomeLines(
  spec: SupervisorSpec,
  kinds: Readonly<Record<string, KindConfig>>,
  palette: Palette,
  manner: Manner,
): string[] {
  const tries = worthTrying(spec, kinds).map(([command, what]) => [written(command, manner), what] as const);
  const width = Math.max(...tries.map(([command]) => command.length));
  return [
    'Try next, from another terminal in this folder:',
    ...tries.map(([command, what]) => `  ${palette.name(command.padEnd(width))}  ${palette.faint(what)}`),
  ];
}

/** `infrafabric ps` as it is to be typed. */
export function written(command: string, { program, options }: Manner): string {
  return `${command.replace(/^infrafabric/, program)}${options === '' ? '' : ` ${options}`}`;
}

export function worthTrying(
  spec: SupervisorSpec,
  kinds: Readonly<Record<string, KindConfig>>,
): readonly (readonly [string, string])[] {
  // Of other machines no event is known that could be tried.
  const counters = Object.entries(kinds).find(
    ([, { machine, spawnOnMessage, door }]) => machine === 'counter' && spawnOnMessage && door === 'open',
  );
  const actor = firstActor(spec);
  const look = 'infrafabric ps';
  if (counters !== undefined && actor === undefined) {
    return [
      [`infrafabric ask ${counters[0]}/${FIRST_ID} inc`, 'the first message brings it to life'],
      [look, 'what lives'],
      ['infrafabric log --follow', 'what happens, as it happens'],
    ];
  }
  return [
    [look, 'what lives'],
    [`infrafabric show ${actor ?? 'supervisor/root'}`, 'one actor in full'],
    ['infrafabric log --follow', 'what happens, as it happens'],
  ];
}

function firstActor(spec: SupervisorSpec): string | undefined {
  for (const child of spec.children) {
    const found = child.supervisor === undefined ? child.address : firstActor(child.supervisor);
    if (found !== undefined) return found;
  }
  return undefined;
}
