/** Colours with a meaning, so that no other file names a colour. Without a terminal every one is the identity. */
import { styleText } from 'node:util';

export interface Palette {
  readonly enabled: boolean;
  strong(text: string): string;
  faint(text: string): string;
  good(text: string): string;
  warn(text: string): string;
  bad(text: string): string;
  /** Addresses, commands, paths: what a reader may copy. */
  name(text: string): string;
}

type Format = Parameters<typeof styleText>[0];

export function palette(enabled: boolean): Palette {
  const paint = (format: Format) => (text: string) =>
    enabled && text !== '' ? styleText(format, text, { validateStream: false }) : text;
  return {
    enabled,
    strong: paint('bold'),
    faint: paint('dim'),
    good: paint('green'),
    warn: paint('yellow'),
    bad: paint('red'),
    name: paint('cyan'),
  };
}

/** NO_COLOR and FORCE_COLOR win; otherwise colours are for terminals that have them. */
export function wantsColour(
  env: Readonly<Record<string, string | undefined>>,
  stream: { readonly isTTY?: boolean },
): boolean {
  const forced = env['FORCE_COLOR'];
  if (forced !== undefined) return forced !== '0' && forced !== 'false';
  if ((env['NO_COLOR'] ?? '') !== '' || env['TERM'] === 'dumb') return false;
  return stream.isTTY === true;
}
