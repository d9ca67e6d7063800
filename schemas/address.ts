/**
 * Actor addresses: `type/id`, e.g. `task/P0.1.1`. A child spawned by an actor has its parent's type and the id
 * `<parent id>~<child id>`. Only characters that are safe in a subject, a file name and a shell are allowed.
 */
import { errorKinds, FabricError } from './fabric-error.ts';

export const addressErrors = errorKinds({
  bad_address: {
    retryable: false,
    help: 'Use type/id: type is a-z, 0-9 and "-" (31 at most); id is letters, digits and . _ @ + = ~ : - (200 at most).',
  },
});

export type Address = `${string}/${string}`;

const TYPE = /^[a-z][a-z0-9-]{0,30}$/;
const ID = /^[A-Za-z0-9][A-Za-z0-9._@+=~:-]{0,199}$/;

export function isActorType(text: string): boolean {
  return TYPE.test(text);
}

export function isActorId(text: string): boolean {
  return ID.test(text);
}

/** Joins and checks a type and an id. Throws `bad_address`. */
export function address(type: string, id: string): Address {
  if (!TYPE.test(type) || !ID.test(id)) {
    throw new FabricError(addressErrors.bad_address, `"${type}/${id}" is not an actor address`, {
      details: { type, id },
    });
  }
  return `${type}/${id}`;
}

/** Checks `type/id` or `if://type/id`. Throws `bad_address`. */
export function parseAddress(text: string): { type: string; id: string; address: Address } {
  const plain = text.startsWith('if://') ? text.slice(5) : text;
  const slash = plain.indexOf('/');
  const type = plain.slice(0, Math.max(slash, 0));
  const id = plain.slice(slash + 1);
  return { type, id, address: address(type, id) };
}

/** The address of a child actor: same type as its parent, so it is found and listed beside it. */
export function childAddress(parent: Address, childId: string): Address {
  const { type, id } = parseAddress(parent);
  return address(type, `${id}~${childId}`);
}
