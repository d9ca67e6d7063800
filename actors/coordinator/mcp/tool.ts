/** What a tool of the MCP server is. */
import type { z } from 'zod';
import type { Realm } from '#runtime/cli/realm';
import type { Client } from '#runtime/client/client';
import type { CoordinatorClient } from '../types.ts';

/** Everything that tools act with: one session of one realm. */
export interface Seat {
  readonly coordinator: CoordinatorClient;
  /** Asks in the name of the session. */
  readonly client: Client;
  /** Signed messages, and the log. */
  readonly realm: Pick<Realm, 'askDraft' | 'log' | 'now'>;
  /** Artifacts lie below. */
  readonly root: string;
  /** A claim of ours was lost. */
  readonly lost: (task: string, why: string) => void;
  /** When messages were last read, ms since the epoch. */
  readAt: number;
}

export interface Tool<Input extends z.ZodType = z.ZodType> {
  readonly name: string;
  readonly title: string;
  readonly description: string;
  readonly input: Input;
  /** Changes nothing. */
  readonly readOnly?: boolean;
  /** Plain data for the caller; a {@link Refused} for what the realm refuses. Throws FabricErrors. */
  run(seat: Seat, input: z.output<Input>): Promise<object>;
}

/** Keeps the type of the input for `run`. */
export function tool<Input extends z.ZodType>(definition: Tool<Input>): Tool {
  return definition as unknown as Tool;
}
