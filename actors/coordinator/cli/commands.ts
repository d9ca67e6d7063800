/** The commands of the coordinator, in the order of the help. */
import type { CommandTable } from '#runtime/cli/command';

export const coordinatorCommands: CommandTable = {
  task: async () => (await import('./task.ts')).taskCommand,
  board: async () => (await import('./board.ts')).boardCommand,
  session: async () => (await import('./session.ts')).sessionCommand,
  why: async () => (await import('./why.ts')).whyCommand,
  import: async () => (await import('./import.ts')).importCommand,
  export: async () => (await import('./export.ts')).exportCommand,
  mirror: async () => (await import('./mirror.ts')).mirrorCommand,
  mcp: async () => (await import('./mcp.ts')).mcpCommand,
  swarm: async () => (await import('./swarm.ts')).swarmCommand,
  round: async () => (await import('./round.ts')).roundCommand,
  approve: async () => (await import('./approval.ts')).approvalCommand,
};
