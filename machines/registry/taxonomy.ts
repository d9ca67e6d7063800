/**
 * Capabilities as a taxonomy reads them. Pure.
 *
 * A1  An alias counts as what it stands for, whatever its case.
 * A2  Who has a detail has the skill: `integration:sip:tls` brings `integration:sip` along. Requirements are taken as they
 *     are: a task that wants the detail is not served by the skill.
 * A3  Details are open: any detail of a known skill is known.
 */
import { distance } from 'fastest-levenshtein';
import {
  type CapabilityProblem,
  isCapability,
  type ReadCapabilities,
  type Taxonomy,
} from '#schemas/capability';

/** A taxonomy, made ready to look things up in. */
export interface Lexicon {
  readonly version: number;
  readonly unknown: Taxonomy['unknown'];
  readonly skills: ReadonlySet<string>;
  /** Spelling in lower case → what it stands for. */
  readonly aliases: ReadonlyMap<string, string>;
  /** All that may be suggested. */
  readonly known: readonly string[];
}

/** Further away than this it is another word. */
const NEAR_SHARE = 0.4;

export function lexiconOf(taxonomy: Taxonomy): Lexicon {
  const skills = new Set<string>();
  const aliases = new Map<string, string>();
  const known: string[] = [];
  for (const [category, { skills: own }] of Object.entries(taxonomy.categories)) {
    for (const [skill, { details, aliases: spellings }] of Object.entries(own)) {
      const capability = `${category}:${skill}`;
      skills.add(capability);
      known.push(capability, ...details.map((detail) => `${capability}:${detail}`));
      for (const spelling of spellings) aliases.set(spelling.toLowerCase(), capability);
    }
  }
  return { version: taxonomy.version, unknown: taxonomy.unknown, skills, aliases, known };
}

/** `isProfile`: A2 applies. */
export function readCapabilities(
  lexicon: Lexicon | undefined,
  written: readonly string[],
  isProfile: boolean,
): ReadCapabilities {
  const capabilities = new Set<string>();
  const problems: CapabilityProblem[] = [];
  for (const capability of written) {
    const plain = capability.trim().toLowerCase();
    const aliased = lexicon?.aliases.get(plain);
    if (aliased !== undefined) problems.push({ capability, kind: 'alias', nearest: aliased });
    const meant = aliased ?? plain;
    if (!isCapability(meant)) {
      problems.push({ capability, kind: 'malformed', nearest: nearestOf(lexicon, plain) });
      continue;
    }
    const skill = skillOf(meant);
    if (lexicon !== undefined && !lexicon.skills.has(skill))
      problems.push({ capability, kind: 'unknown', nearest: nearestOf(lexicon, meant) });
    capabilities.add(meant);
    if (isProfile) capabilities.add(skill);
  }
  return { capabilities: [...capabilities].sort(), problems };
}

/** `category:skill` of `category:skill:detail`. */
function skillOf(capability: string): string {
  return capability.split(':', 2).join(':');
}

function nearestOf(lexicon: Lexicon | undefined, wrong: string): string | null {
  let nearest: string | null = null;
  let least = Math.max(2, wrong.length * NEAR_SHARE);
  const spellings = [
    ...(lexicon?.known ?? []).map((name) => [name, name] as const),
    ...(lexicon?.aliases ?? []),
  ];
  for (const [spelling, means] of spellings) {
    // The skill alone is what people remember.
    const far = Math.min(
      distance(wrong, spelling),
      distance(wrong, spelling.slice(spelling.indexOf(':') + 1)) + 1,
    );
    if (far < least) [nearest, least] = [means, far];
  }
  return nearest;
}

/** What is wrong between the parts of a taxonomy: an alias of two skills, or one that is a skill itself. */
export function taxonomyFaults({
  categories,
}: Taxonomy): { readonly path: readonly string[]; readonly what: string }[] {
  const faults: { readonly path: readonly string[]; readonly what: string }[] = [];
  const meanings = new Map<string, string>();
  const all = Object.entries(categories).flatMap(([category, { skills }]) =>
    Object.entries(skills).map(([skill, entry]) => ({
      category,
      skill,
      entry,
      name: `${category}:${skill}`,
    })),
  );
  const names = new Set(all.map(({ name }) => name));
  for (const { category, skill, entry, name } of all) {
    for (const [n, alias] of entry.aliases.entries()) {
      const path = ['categories', category, 'skills', skill, 'aliases', String(n)];
      const before = meanings.get(alias.toLowerCase());
      if (names.has(alias)) faults.push({ path, what: `"${alias}" is a capability of its own` });
      else if (before !== undefined && before !== name)
        faults.push({ path, what: `"${alias}" stands for ${before} already` });
      meanings.set(alias.toLowerCase(), name);
    }
  }
  return faults;
}
