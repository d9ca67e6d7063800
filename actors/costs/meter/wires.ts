/** The wire formats there are. */
import type { WireName } from '#schemas/meter';
import { anthropic } from './anthropic.ts';
import { openai } from './openai.ts';
import type { Wire } from './wire.ts';

const WIRES: Readonly<Record<WireName, Wire>> = { anthropic, openai };

export function wireOf(name: WireName): Wire {
  return WIRES[name];
}
