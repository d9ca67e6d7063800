/** How actors are related, and how much trust that gives by default. */
import { z } from 'zod';

/** Trust weight of each tag, 0–1: shown with the relationship, and usable in policy. */
export const TRUST: Readonly<Record<RelationshipTag, number>> = {
  /** Governor or council → worker. */
  oversight: 0.95,
  /** Supervisor → child, stream → evidence. */
  'parent-child': 0.85,
  /** The two legs of a bridge. */
  complementary: 0.8,
  /** Members of a mesh. */
  peers: 0.75,
  /** External expert, scouted talent. */
  outside: 0.7,
};

export const RELATIONSHIP_TAGS = ['oversight', 'parent-child', 'complementary', 'peers', 'outside'] as const;

export type RelationshipTag = (typeof RELATIONSHIP_TAGS)[number];

export const relationshipSchema = z.strictObject({
  from: z.string().min(3).max(240).describe('Address, `task/P0.1`.'),
  to: z.string().min(3).max(240).describe('Address.'),
  tag: z.enum(RELATIONSHIP_TAGS),
});

export type Relationship = z.infer<typeof relationshipSchema>;
