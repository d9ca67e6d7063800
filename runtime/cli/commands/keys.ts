/** `keys`: whose keys count in the realm, and the private ones that lie here. */
import type { Command } from 'commander';
import { declare, type Shell } from '../command.ts';
import { keysNewCommand, keysRevokeCommand, keysRotateCommand } from './keys/change.ts';
import { keysListCommand, keysShowCommand } from './keys/look.ts';
import { keysExportCommand, keysImportCommand } from './keys/move.ts';

export function keysCommand(shell: Shell): Command {
  const command = declare({
    name: 'keys',
    summary: 'keys of the realm, its nodes, agents, guardians and operators',
    description:
      'Private keys lie in keys/ of the data folder, readable by their owner only. Which public keys count, and since when, is an actor, keyring/realm: each registration, rotation and revocation is a signed entry of the log.',
    group: 'Set up',
    examples: [
      ['infrafabric keys list', 'whose keys count, and which lie here'],
      ['infrafabric keys new guardian/alice', 'make and register a key'],
      ['infrafabric keys rotate realm', 'a new key for the realm itself'],
      ['infrafabric keys revoke session/ndi --reason "laptop lost"', 'end the key of an agent, for ever'],
      ['infrafabric keys export backup.ifkeys', 'every private key that lies here, under a passphrase'],
    ],
  });
  return command
    .addCommand(keysListCommand(shell))
    .addCommand(keysShowCommand(shell))
    .addCommand(keysNewCommand(shell))
    .addCommand(keysRotateCommand(shell))
    .addCommand(keysRevokeCommand(shell))
    .addCommand(keysExportCommand(shell))
    .addCommand(keysImportCommand(shell));
}
