/** What a spec means: the machines that its children are on, and its hash. Reads no file. */
import { createHash } from 'node:crypto';
import canonicalize from 'canonicalize';
import type { ChildSpec, SupervisorSpec } from '#schemas/supervisor';

/**
 * The spec with every child on the machine that `refOf` gives for its type (`counter` → `counter@2`), supervisors
 * apart: what a node applies once it knows which versions it has.
 */
export function pinMachines(spec: SupervisorSpec, refOf: (type: string) => string): SupervisorSpec {
  const pin = (child: ChildSpec): ChildSpec =>
    child.supervisor === undefined
      ? { ...child, machine: refOf(child.address.slice(0, child.address.indexOf('/'))) }
      : { ...child, supervisor: pinMachines(child.supervisor, refOf) };
  return { ...spec, children: spec.children.map(pin) };
}

/** SHA-256 in hex over the RFC 8785 form of plain data. */
export function hashOf(data: unknown): string {
  return createHash('sha256')
    .update(canonicalize(data) ?? '')
    .digest('hex');
}
