/** What keeps a verification from beginning. What it finds are breaks, not errors. */
import { errorKinds } from '#schemas/fabric-error';

export const verifyErrors = errorKinds({
  bad_bundle: {
    retryable: false,
    help: 'The file is no bundle, or was cut: make it again with `infrafabric verify --export FILE`.',
  },
  bundle_unopened: { retryable: false, help: 'Check the path, its folder and their permissions.' },
  not_signed_yet: {
    retryable: true,
    help: 'Ask again in a second; `infrafabric witness status` says how far the signatures are.',
  },
  bad_evidence: {
    retryable: false,
    help: 'Give a verifier key as `infrafabric witness key` prints it, a C2SP tlog-policy file, and a checkpoint as a signed note.',
  },
});
