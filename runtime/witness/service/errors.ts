/** What goes wrong around the running witness. */
import { errorKinds } from '#schemas/fabric-error';

export const witnessServiceErrors = errorKinds({
  witness_absent: {
    retryable: true,
    help: 'No node of the realm builds the witness log now: is `witness.enabled` true, and does `infrafabric doctor` see a node?',
  },
  witness_halted: {
    retryable: false,
    help: '`infrafabric witness status` names the break; nothing is signed any more until the log is the one that was signed.',
  },
  witness_key_foreign: {
    retryable: false,
    help: 'Copy keys/realm.seed from the node that began the log, or set `witness.enabled: false` on this one.',
  },
  witness_state_bad: {
    retryable: false,
    help: 'The witness bucket was changed by other hands: restore it, or begin a new log under another `witness.origin`.',
  },
  witness_record_bad: {
    retryable: false,
    help: 'Nothing is signed without keys/realm.signed, which says what was: let the node read and write it, or restore it from a copy.',
  },
  witness_moved: { retryable: true, help: 'Another node signs now; this one follows again by itself.' },
  witness_no_leaf: {
    retryable: false,
    help: '`infrafabric witness status` says how many commits the signed tree holds; the next checkpoint takes in more.',
  },
  no_such_shard: { retryable: false, help: '`infrafabric shards` shows the shards of the realm.' },
  tile_missing: {
    retryable: true,
    help: 'The builder makes missing tiles anew from the log when it starts; restart its node.',
  },
  tile_bad_path: {
    retryable: false,
    help: 'Tile paths are those of C2SP tlog-tiles, such as tile/0/x001/234.',
  },
  cosigner_refused: {
    retryable: true,
    help: 'The cosigner did not sign; its status and text are in the details. The checkpoint is published without it.',
  },
  cosigner_bad_key: {
    retryable: false,
    help: 'Give the verifier key that `infrafabric witness cosign` prints: name+8 hex digits+base64.',
  },
  policy_bad: {
    retryable: false,
    help: 'The form of a policy is that of C2SP tlog-policy: lines of log, witness, group and quorum.',
  },
  cosigner_state_bad: {
    retryable: false,
    help: 'The state file of the cosigner cannot be read; restore it from a copy, for a new one would forget what was signed.',
  },
});
