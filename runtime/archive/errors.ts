/** What goes wrong around archives. */
import { errorKinds, FabricError } from '#schemas/fabric-error';

export const archiveErrors = errorKinds({
  archive_missing: {
    retryable: false,
    help: 'Say where the archive is: --to or `archive.to` in the config, a folder or s3://bucket/prefix.',
  },
  archive_unreachable: {
    retryable: true,
    help: 'Check the folder or the address, the credentials (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY) and AWS_ENDPOINT_URL.',
  },
  archive_damaged: {
    retryable: false,
    help: 'Restore that file of the archive from a copy; `infrafabric archive verify` names every one that is not whole.',
  },
  archive_foreign: {
    retryable: false,
    help: 'The archive holds the log of another realm, or another history of this one: choose another place.',
  },
  archive_unverified: {
    retryable: true,
    help: 'Nothing was dropped: the log or its copy is not what was signed. `infrafabric verify` says where.',
  },
  archive_busy: {
    retryable: true,
    help: 'Another archive run is under way; this one may be tried again later.',
  },
});

/** What is stored under a name is larger than what was written. */
export function tooLarge(place: string, name: string, bytesMax: number): FabricError {
  return new FabricError(
    archiveErrors.archive_damaged,
    `${name} in ${place} is larger than the ${bytesMax} bytes that it may have`,
    { details: { place, name } },
  );
}
