import { errorKinds } from '#schemas/fabric-error';

export const keyErrors = errorKinds({
  key_file_open: {
    retryable: false,
    help: 'Others may read or change this private key: `chmod 600` the file and `chmod 700` its folder, and rotate the key if they might have.',
  },
  key_file_bad: {
    retryable: false,
    help: 'A key file holds the 32 bytes of one Ed25519 seed: restore it, or import it with `infrafabric keys import`.',
  },
  key_file_absent: {
    retryable: false,
    help: '`infrafabric keys list` shows the keys that lie here; --data names another folder.',
  },
  key_file_exists: {
    retryable: false,
    help: 'Another private key of this name lies here already and is never overwritten: move it away first.',
  },
  key_file_failed: {
    retryable: false,
    help: 'Check that the keys folder is yours, mode 0700, and that the disk has room.',
  },
  bad_nkey: {
    retryable: false,
    help: 'An nkey is base32 text with a checksum: U… for the public key of a user, SU… for its seed.',
  },
  bad_nonce: {
    retryable: false,
    help: 'The server asks to sign something that is no nonce of a NATS server: do not sign on to it.',
  },
  order_forged: {
    retryable: false,
    help: 'Sign the order with the keys it names, and change nothing afterwards: see docs/keys.md.',
  },
  keyring_driver_misused: { retryable: false, help: 'The driver "keyring" serves the keyring alone.' },
  keyring_founder_unknown: {
    retryable: false,
    help: 'A keyring is founded with the key that signs the checkpoints of the realm: run it where keys/realm.seed lies.',
  },
  export_bad: {
    retryable: false,
    help: 'The file is no key export of `infrafabric keys export`, or a part of it is missing.',
  },
  export_locked: {
    retryable: false,
    help: 'The passphrase is another one, or the file was changed: both look the same.',
  },
  passphrase_weak: {
    retryable: false,
    help: 'Take 12 characters or more: whoever has the file can guess as often as they like.',
  },
});
