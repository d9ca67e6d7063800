/** Personal data as commands show it: opened with `--reveal` and the key of this data folder, marked otherwise. */
import { Option } from 'commander';
import { keyRowOf } from '#runtime/privacy/data-keys';
import { type PrivacyView, privacyView } from '#runtime/privacy/display';
import { privacyErrors } from '#runtime/privacy/errors';
import { natsKeyRows } from '#runtime/privacy/nats-data-keys';
import { readPrivacyKey } from '#runtime/privacy/privacy-key';
import { FabricError } from '#schemas/fabric-error';
import type { Out } from './io.ts';
import type { Realm } from './realm.ts';

export function revealOption(): Option {
  return new Option('--reveal', 'open personal data, with the privacy key of the data folder');
}

/**
 * Throws `privacy_key_absent` where data is to be opened and the key is not here. With `--json` values stay as they are
 * stored, unless they are to be opened.
 */
export async function openPrivacyView(
  realm: Realm,
  out: Pick<Out, 'json'>,
  { reveal = false }: { readonly reveal?: boolean },
): Promise<PrivacyView> {
  if (out.json && !reveal) return { show: async (value) => value, isRedacted: async () => false };
  const { dataDir } = realm.target;
  const privacyKey = reveal && dataDir !== undefined ? await readPrivacyKey(dataDir) : undefined;
  if (reveal && privacyKey === undefined) {
    throw new FabricError(privacyErrors.privacy_key_absent, 'The privacy key of the realm is not here');
  }
  const { connection, subjects, target } = realm;
  // Most of what is shown holds nothing sealed: the bucket is opened for the first that does.
  let rows: ReturnType<typeof natsKeyRows> | undefined;
  return privacyView({
    realm: target.realm ?? (reveal ? (await realm.statuses())[0]?.realm : undefined) ?? '',
    stateOf: async (subject) => {
      rows ??= natsKeyRows(connection, subjects.buckets.privacy);
      return keyRowOf((await (await rows).get(subject))?.row);
    },
    privacyKey,
  });
}
