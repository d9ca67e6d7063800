/** The commands by which agents, swarms and approvers come in. */
import type { Builtins } from '#runtime/cli/builtins';
import { approvalCommand } from './approval.ts';
import { mcpCommand } from './mcp.ts';
import { swarmCommand } from './swarm.ts';

export const doorCommands: NonNullable<Builtins['commands']> = [mcpCommand, swarmCommand, approvalCommand];
