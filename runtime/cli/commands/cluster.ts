/** `cluster`: the NATS servers under a realm. */
import type { Command } from 'commander';
import { declare, type Shell } from '../command.ts';
import { clusterRaiseCommand } from './cluster/raise.ts';
import { clusterStatusCommand } from './cluster/status.ts';
import { clusterStepDownCommand } from './cluster/step-down.ts';

export function clusterCommand(shell: Shell): Command {
  const command = declare({
    name: 'cluster',
    summary: 'the NATS servers under the realm: who keeps what, more copies, planned restarts',
    description:
      'In a NATS cluster of three servers every stream and bucket of a realm has three copies: one server may be lost at any moment, and nothing that was acknowledged is.',
    group: 'Run',
    examples: [
      ['infrafabric cluster status', 'who keeps what, and what the loss of each server would cost'],
      ['infrafabric cluster raise', 'three copies of all that a realm from one server has'],
      ['infrafabric cluster step-down s2', 'before server s2 is restarted'],
    ],
  });
  return command
    .addCommand(clusterStatusCommand(shell))
    .addCommand(clusterRaiseCommand(shell))
    .addCommand(clusterStepDownCommand(shell));
}
