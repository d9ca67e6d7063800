/** What people write where a task's requirements are meant. */
import { lexiconOf, readCapabilities } from '#machines/registry/taxonomy';
import type { ReadCapabilities, Taxonomy } from '#schemas/capability';

export function readCapabilitiesOf(taxonomy: Taxonomy | null, written: readonly string[]): ReadCapabilities {
  return readCapabilities(taxonomy === null ? undefined : lexiconOf(taxonomy), written, false);
}
