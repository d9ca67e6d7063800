/** Why a message, or a key, is refused at the edge. */
import { errorKinds } from '#schemas/fabric-error';

export const edgeErrors = errorKinds({
  bad_envelope: {
    retryable: false,
    help: 'Send an IFMessage as its schema says; details.path names the field.',
  },
  unsigned: {
    retryable: false,
    help: 'Sign the message with a registered key, or list the sender type under edge.unsignedTypes.',
  },
  unknown_key: {
    retryable: false,
    help: 'Register the public key under edge.keys, or sign with a registered one.',
  },
  revoked_key: {
    retryable: false,
    help: 'The key was revoked: sign with a key of yours that is still active.',
  },
  key_owner_mismatch: { retryable: false, help: 'Sign with a key that belongs to the address in "from".' },
  bad_signature: {
    retryable: false,
    help: 'Sign the RFC 8785 bytes of every field but "signature" with Ed25519, and change nothing afterwards.',
  },
  replayed_seq: {
    retryable: false,
    help: 'Number your messages upwards; details.lastSeq is the last number taken from this sender.',
  },
  expired: { retryable: false, help: 'Stamp and sign it anew, and check the clock of the sender.' },
  from_future: {
    retryable: false,
    help: 'Set the clock of the sender: its message is dated ahead of the realm.',
  },
  not_addressed: { retryable: false, help: 'Send it to an actor that "to" names, or add the actor to "to".' },
  reply_not_json: {
    retryable: false,
    help: 'The state changed. Ask with Content-Type application/msgpack, or make the machine reply plain data.',
  },
  bad_key: { retryable: false, help: 'A key is 32 bytes; a kid is 1 to 64 letters, digits, "_" and "-".' },
  key_taken: {
    retryable: false,
    help: 'A kid keeps its key and owner for ever: register the new key under its own kid.',
  },
  key_store_failed: {
    retryable: false,
    help: 'Check that the keys folder is yours, mode 0700, and its files 0600.',
  },
});
