/** What a tool of the MCP server is. */
import type { z } from 'zod';
import type { Realm } from '#runtime/cli/realm';
import type { Client } from '#runtime/client/client';
import type { CoordinatorClient } from '../types.ts';
import type { Inbox } from './inbox.ts';

/** Everything that tools act with: one session of one realm. */
export interface Seat {
  readonly coordinator: CoordinatorClient;
  /** Asks in the name of the session. */
  readonly client: Client;
  /** Signed messages. */
  readonly realm: Pick<Realm, 'askDraft'>;
  /** Messages to the session. */
  readonly inbox: Inbox;
  /** Artifacts lie below. */
  readonly root: string;
  /** A claim of ours was lost. */
  readonly lost: (task: string, why: string) => void;
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
