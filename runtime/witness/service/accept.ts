/** Cosigners as the config names them, and which of their answers count. */
import { readFileSync } from 'node:fs';
import { FabricError } from '#schemas/fabric-error';
import { equal, utf8 } from '../bytes.ts';
import { nodePrimitives } from '../node-crypto.ts';
import {
  COSIGNATURE_V1,
  formatSignatureLine,
  parseNote,
  parseVerifierKey,
  type VerifierKey,
  verifyNote,
} from '../note.ts';
import { isPolicy, parsePolicy } from '../policy.ts';
import type { CosignerOptions } from './cosigners.ts';
import { witnessServiceErrors } from './errors.ts';

type KnownCosigner = Pick<CosignerOptions, 'url' | 'name' | 'accept'>;

/** Throws `cosigner_bad_key`. */
export function cosignerOf(url: string, text: string): KnownCosigner {
  const key = parseVerifierKey(nodePrimitives.sha256, text);
  if (key?.type === COSIGNATURE_V1) return known(url, key);
  throw new FabricError(
    witnessServiceErrors.cosigner_bad_key,
    `The key of cosigner ${url} is no cosigner's key`,
    {
      details: { url, key: text },
    },
  );
}

/** The witnesses of a C2SP tlog-policy file that have a URL. Throws `policy_bad`. */
export function cosignersOfPolicy(path: string): KnownCosigner[] {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    throw new FabricError(witnessServiceErrors.policy_bad, `The policy ${path} cannot be read`, {
      details: { path },
      cause,
    });
  }
  const policy = parsePolicy(nodePrimitives.sha256, text);
  if (!isPolicy(policy)) {
    throw new FabricError(witnessServiceErrors.policy_bad, `${path}:${policy.line}: ${policy.problem}`, {
      details: { path, line: policy.line },
    });
  }
  return [...policy.witnesses.values()].flatMap(({ key, url }) =>
    url === undefined ? [] : [known(url, key)],
  );
}

function known(url: string, key: VerifierKey): KnownCosigner {
  return { url, name: key.name, accept: (note, reply) => acceptedLine(key, note, reply) };
}

/** The signature line of `key` for a note, among lines that somebody sent; undefined where none verifies. */
function acceptedLine(key: VerifierKey, note: string, reply: string): string | undefined {
  const parsed = parseNote(utf8(note + reply));
  // An empty line in the reply would make a text of the whole note: signed as that, false in the note that is published.
  if (parsed === undefined || parsed.text !== parseNote(utf8(note))?.text) return undefined;
  const verdict = verifyNote(nodePrimitives, parsed, [key]);
  if (!verdict.ok || verdict.verified.length === 0) return undefined;
  const own = parsed.signatures.find(({ name, keyId }) => name === key.name && equal(keyId, key.id));
  return own === undefined ? undefined : `${formatSignatureLine(own)}\n`;
}
