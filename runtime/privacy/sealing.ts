/**
 * What becomes of the body of a message to a kind with personal fields. Decides only: the key comes in as data.
 *
 * A1  Nothing of a marked field leaves here in the clear, whether the message is taken or refused later on.
 * A2  A sealed value from outside is taken only in a marked field, for the subject of its message, and where it opens:
 *     nobody can have another's data opened for him by moving its ciphertext.
 * A3  What says that it is an IFMessage and is none is withheld whole: the marks of its event would be looked for where an
 *     IFMessage has its content, and anything may stand elsewhere.
 */
import { FabricError, type WireError } from '#schemas/fabric-error';
import { ifMessageSchema } from '#schemas/if-message';
import { SUBJECT_CHARS_MAX } from '#schemas/privacy';
import { isSealed, looksSealed, type Sealed } from '#schemas/sealed';
import { privacyErrors } from './errors.ts';
import type { Marks } from './marks.ts';
import { mapAt, type Pointer, pathsAt, valueAt } from './pointer.ts';
import { type DataKey, open, seal } from './seal.ts';

export type Plan =
  /** Nothing of it is personal. */
  | { readonly kind: 'pass' }
  | { readonly kind: 'refuse'; readonly error: WireError }
  | {
      readonly kind: 'seal';
      readonly subject: string;
      /** Some of it came in the clear. */
      readonly isPlain: boolean;
      /** Throws `bad_sealed` (A2). */
      readonly finish: (key: DataKey) => SealedBody;
    };

export interface SealedBody {
  readonly value: unknown;
  /** The signature of an envelope that was signed in the clear. It would confirm any guess of what was sealed. */
  readonly signature?: Sealed;
}

/** The plan for a decoded body to an actor of a kind with marks. */
export function planSealing(value: unknown, address: string, marks: Marks, realm: string): Plan {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return refuse(
      new FabricError(privacyErrors.body_withheld, 'The body is not an object with a string "type"'),
    );
  }
  const envelope = 'performative' in value ? (value as Record<string, unknown>) : undefined;
  const faults = envelope === undefined ? [] : faultsOf(envelope);
  if (faults.length > 0) {
    // Not what zod says of them: it quotes names that a sender made up.
    const message = `The body has a "performative" and is no IFMessage: ${faults.join(', ')}`;
    return refuse(new FabricError(privacyErrors.body_withheld, message)); // A3
  }
  const view =
    envelope === undefined ? value : { type: `if.${String(envelope['performative'])}`, message: envelope };
  const pointers = marks.of((view as { readonly type?: unknown }).type);
  const isOurs = (path: string): boolean =>
    envelope === undefined ? path !== '/type' : /^\/message\/content(?:\/|$)/.test(path);
  let [marked, plain] = [0, 0];
  const rest = mapAt(view, pointers, (found, path) => {
    if (!isOurs(path)) return found;
    marked += 1;
    if (!isSealed(found)) plain += 1;
    return null;
  });
  if (holdsSealed(rest)) {
    return refuse(
      new FabricError(privacyErrors.bad_sealed, 'A sealed value stands where no personal field is'),
    );
  }
  if (marked === 0) return { kind: 'pass' };
  const subject = subjectOf(view, address, marks.subject);
  if (subject === undefined) {
    const message = `The message holds personal data, but ${marks.rules.subject} does not say whose`;
    return refuse(new FabricError(privacyErrors.subject_missing, message));
  }
  return {
    kind: 'seal',
    subject,
    isPlain: plain > 0,
    finish: (key) => {
      const sealed = mapAt(view, pointers, (found, path) => {
        if (!isOurs(path)) return found;
        if (isSealed(found)) return checked(found, subject, realm, key);
        return seal(found, { realm, subject, path }, key);
      });
      if (envelope === undefined) return { value: sealed };
      const { signature, ...message } = (sealed as { readonly message: Record<string, unknown> }).message;
      // What was sealed before it was signed stays as it was signed.
      if (plain === 0 || signature === undefined) {
        return { value: (sealed as { readonly message: unknown }).message };
      }
      return {
        value: message,
        signature: seal(signature, { realm, subject, path: '/message/signature' }, key),
      };
    },
  };
}

/** Where the marks of results lead to in what an effect gave back: JSON Pointers into that. */
export function markedOutput(output: unknown, marks: Marks): ReadonlySet<string> {
  const view = { output };
  return new Set(pathsAt(view, marks.ofOutput).map((path) => path.slice('/output'.length)));
}

/** True where anything in plain data could pass for a sealed value. */
export function holdsSealed(value: unknown): boolean {
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return false;
  if (looksSealed(value)) return true;
  return (Array.isArray(value) ? value : Object.values(value)).some(holdsSealed);
}

/** Whose data an event holds; undefined where it does not say. */
export function subjectOf(view: unknown, address: string, pointer: Pointer | undefined): string | undefined {
  if (pointer === undefined) return address;
  const found = valueAt(view, pointer);
  if (typeof found === 'number' && Number.isSafeInteger(found)) return String(found);
  const isName = typeof found === 'string' && found !== '' && found.length <= SUBJECT_CHARS_MAX;
  return isName ? found : undefined;
}

/** Fields of an IFMessage that are wrong in an envelope, by name. */
function faultsOf(envelope: object): string[] {
  const checked = ifMessageSchema.safeParse(envelope);
  if (checked.success) return [];
  const names = checked.error.issues.map(({ path: [field] }) =>
    field === undefined ? 'fields of other names' : String(field),
  );
  return [...new Set(names)];
}

/** A2 */
function checked(sealed: Sealed, subject: string, realm: string, key: DataKey): Sealed {
  const inner = sealed.$sealed;
  if (inner.subject !== subject || inner.kid !== key.kid) {
    throw new FabricError(privacyErrors.bad_sealed, 'A sealed value is not of the subject of its message');
  }
  open(sealed, realm, key.key);
  return sealed;
}

function refuse(error: FabricError): Plan {
  return { kind: 'refuse', error: error.toWire() };
}
