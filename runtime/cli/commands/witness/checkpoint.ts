/** `witness checkpoint` and `witness key`: what others need to check the log. Both need no node, only the server. */
import { Command } from 'commander';
import { witnessServiceErrors } from '#runtime/witness/service/errors';
import { natsWitnessStore, type SignedState } from '#runtime/witness/service/state-store';
import { FabricError } from '#schemas/fabric-error';
import { handle, type Shell } from '../../command.ts';
import { EXIT } from '../../exit-codes.ts';
import { type Realm, withRealm } from '../../realm.ts';

export function witnessCheckpointCommand(shell: Shell): Command {
  const command = new Command('checkpoint')
    .description('the newest signed checkpoint, a C2SP signed note')
    .option('--cosigned', 'the newest of those with the most cosignatures');
  return handle<[], { readonly cosigned?: boolean }>(shell, command, ({ io, out, options }) =>
    withRealm(options, io, async (realm) => {
      const store = await natsWitnessStore(realm.connection, realm.subjects.buckets.witness);
      const { value } = options.cosigned === true ? await store.cosigned() : await store.note();
      if (value === undefined) {
        const what = options.cosigned === true ? 'cosigned' : 'signed';
        throw new FabricError(
          witnessServiceErrors.witness_absent,
          `No checkpoint of this realm is ${what} yet`,
        );
      }
      out.data(value);
      out.lines([value.note.replace(/\n$/, '')]);
      return EXIT.ok;
    }),
  );
}

export function witnessKeyCommand(shell: Shell): Command {
  const command = new Command('key').description(
    'the verifier key that checks the checkpoints of this realm',
  );
  return handle<[], object>(shell, command, ({ io, out, options }) =>
    withRealm(options, io, async (realm) => {
      const { origin, key } = await signedState(realm);
      out.data({ origin, key });
      out.lines([key]);
      return EXIT.ok;
    }),
  );
}

/** Throws `witness_absent` where nothing was ever signed. */
export async function signedState(realm: Realm): Promise<SignedState> {
  const store = await natsWitnessStore(realm.connection, realm.subjects.buckets.witness);
  const { value } = await store.state();
  if (value === undefined) {
    throw new FabricError(witnessServiceErrors.witness_absent, 'The log of this realm was never signed');
  }
  return value;
}
