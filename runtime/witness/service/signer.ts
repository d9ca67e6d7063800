/**
 * The realm's own key, which signs checkpoints. It lies in `keys/realm.seed` of the data folder, mode 0600, and is made
 * with the first start. It is no journaled actor's: each signature would be a commit, hence a leaf to be signed.
 */

/** Signs the text of a note; the key itself stays inside. */
export interface RealmSigner {
  /** Verifier key, `name+id+base64`. */
  readonly key: string;
  /** The signed note: text, blank line, signature line. The same text always gives the same note. */
  sign(text: string): string;
}
