/** `witness`: what proves to others that the log was not changed, and how to sign for others. */
import type { Command } from 'commander';
import { declare, type Shell } from '../command.ts';
import { witnessCheckpointCommand, witnessKeyCommand } from './witness/checkpoint.ts';
import { witnessCosignCommand } from './witness/cosign.ts';
import { witnessProofCommand } from './witness/proof.ts';
import { witnessStatusCommand } from './witness/status.ts';

export function witnessCommand(shell: Shell): Command {
  const command = declare({
    name: 'witness',
    summary: 'signed checkpoints of the log: how they stand, proofs, cosigning',
    description:
      'Every commit is a leaf of a Merkle tree, whose root the realm signs at most a second later. Checkpoints and proofs are C2SP notes that anyone can check without asking the realm.',
    group: 'Look',
    examples: [
      ['infrafabric witness status', 'how far the log is signed, and what was found'],
      ['infrafabric witness checkpoint', 'the newest signed checkpoint'],
      ['infrafabric witness proof 0/12', 'that commit 12 of shard 0 is in the log'],
      ['infrafabric witness cosign --log "$(cat realm.vkey)"', 'cosign the checkpoints of another realm'],
    ],
  });
  return command
    .addCommand(witnessStatusCommand(shell))
    .addCommand(witnessCheckpointCommand(shell))
    .addCommand(witnessKeyCommand(shell))
    .addCommand(witnessProofCommand(shell))
    .addCommand(witnessCosignCommand(shell));
}
