/** Driver `digest`: SHA-256 over the RFC 8785 bytes of a value, as anyone can compute it again. */
import { hash } from 'node:crypto';
import canonicalize from 'canonicalize';
import { z } from 'zod';
import type { Driver } from '#runtime/effects/driver';

const inputSchema = z.object({ value: z.unknown() });

export const digestDriver: Driver = {
  name: 'digest',
  run: async ({ input }) => ({ sha256: digestOf(inputSchema.parse(input).value) }),
};

export function digestOf(value: unknown): string {
  return hash('sha256', canonicalize(value) ?? 'null');
}
