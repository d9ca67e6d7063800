import { errorKinds } from '#schemas/fabric-error';

export const privacyErrors = errorKinds({
  subject_redacted: {
    retryable: false,
    help: 'The data of this person was redacted and no more is taken; `infrafabric redact SUBJECT --readmit` allows it again under a new key.',
  },
  subject_missing: {
    retryable: false,
    help: 'Personal fields need the field that says whose they are: see personal.subject of the kind in the realm config.',
  },
  unknown_subject: {
    retryable: false,
    help: 'No data was ever sealed for this subject: check the spelling, or use --force to refuse it from now on.',
  },
  bad_sealed: {
    retryable: false,
    help: 'Sealed values are taken only in personal fields, for the same subject, and as the realm gave them out.',
  },
  body_withheld: {
    retryable: false,
    help: 'What could not be read may be personal, so it is not kept: send it again, well-formed.',
  },
  plain_send: {
    retryable: false,
    help: 'This kind takes personal fields by asks, or sealed before they are sent: see docs/privacy.md.',
  },
  privacy_unavailable: {
    retryable: true,
    help: 'The bucket of data keys does not answer; retry with the same message id.',
  },
  privacy_key_mismatch: {
    retryable: false,
    help: 'Copy keys/privacy.key from the data folder of the node that made the realm; without it personal data stays sealed.',
  },
  privacy_key_absent: {
    retryable: false,
    help: 'Opening personal data needs keys/privacy.key: run it where the data folder of the realm lies, or name that with --data.',
  },
  privacy_key_unreadable: {
    retryable: false,
    help: 'keys/privacy.key in the data folder must be 32 bytes, readable by its owner only.',
  },
  privacy_driver_misused: {
    retryable: false,
    help: 'The driver "privacy" serves the redaction machine only.',
  },
  bad_marks: {
    retryable: false,
    help: 'Mark the fields that hold the personal data in the schema of the machine, or name them under personal.fields of the kind.',
  },
  redaction_unconfirmed: {
    retryable: false,
    help: 'Confirm at the prompt, or pass --yes.',
  },
});
