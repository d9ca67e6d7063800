/** Whose checkpoints count, and whose cosignatures they need (C2SP tlog-policy). */
import { equal } from './bytes.ts';
import type { Primitives, Sha256 } from './hash.ts';
import {
  COSIGNATURE_V1,
  ED25519,
  type Note,
  parseVerifierKey,
  type VerifierKey,
  verifyNote,
} from './note.ts';

const POLICY_CHARS_MAX = 256 * 1024;
/** The spec asks for 32 at least. */
const NAMES_MAX = 1_024;

export interface PolicyKey {
  readonly key: VerifierKey;
  readonly url?: string;
}

interface Group {
  readonly threshold: number;
  readonly members: readonly string[];
}

export interface Policy {
  readonly logs: readonly PolicyKey[];
  /** By the name that the policy gives them. */
  readonly witnesses: ReadonlyMap<string, PolicyKey>;
  readonly groups: ReadonlyMap<string, Group>;
  /** A witness, a group, or `none`. */
  readonly quorum: string;
}

export interface PolicyProblem {
  /** From 1. */
  readonly line: number;
  readonly problem: string;
}

/** The policy, or the first line that keeps the text from being one. */
export function parsePolicy(sha256: Sha256, text: string): Policy | PolicyProblem {
  if (text.length > POLICY_CHARS_MAX) return { line: 1, problem: 'the file is too long for a policy' };
  const builder = new Builder(sha256);
  const lines = text.split('\n');
  for (const [n, line] of lines.entries()) {
    const problem = builder.add(line);
    if (problem !== undefined) return { line: n + 1, problem };
  }
  return builder.policy() ?? { line: lines.length, problem: 'there is no quorum line' };
}

export function isPolicy(parsed: Policy | PolicyProblem): parsed is Policy {
  return 'quorum' in parsed;
}

export type PolicyVerdict =
  | { readonly ok: true; readonly log: VerifierKey; readonly cosigners: readonly string[] }
  | { readonly ok: false; readonly reason: string };

/** Whether a checkpoint is signed by a log of the policy, by the name of its origin line, and cosigned by the quorum. */
export function judge(primitives: Primitives, policy: Policy, note: Note): PolicyVerdict {
  const logs = policy.logs.map(({ key }) => key);
  const witnesses = [...policy.witnesses.values()].map(({ key }) => key);
  const verdict = verifyNote(primitives, note, [...logs, ...witnesses]);
  if (!verdict.ok) return { ok: false, reason: `the signature of ${verdict.forged.name} is false` };
  const signers = verdict.verified.map(({ key }) => key);
  const [origin] = note.text.split('\n', 1);
  const log = signers.find((key) => logs.includes(key) && key.name === origin);
  if (log === undefined) return { ok: false, reason: `no log of the policy signed it for ${origin}` };
  const cosigners = [...policy.witnesses]
    .filter(([, { key }]) => signers.includes(key))
    .map(([name]) => name);
  if (!isMet(policy, policy.quorum, new Set(cosigners))) {
    const who = cosigners.length === 0 ? 'nobody' : cosigners.join(', ');
    return { ok: false, reason: `the quorum ${policy.quorum} is not met: cosigned by ${who}` };
  }
  return { ok: true, log, cosigners };
}

function isMet(policy: Policy, name: string, cosigners: ReadonlySet<string>): boolean {
  if (name === 'none') return true;
  const group = policy.groups.get(name);
  if (group === undefined) return cosigners.has(name);
  return group.members.filter((member) => isMet(policy, member, cosigners)).length >= group.threshold;
}

class Builder {
  readonly #sha256: Sha256;
  readonly #logs: PolicyKey[] = [];
  readonly #witnesses = new Map<string, PolicyKey>();
  readonly #groups = new Map<string, Group>();
  readonly #grouped = new Set<string>();
  #quorum: string | undefined;

  constructor(sha256: Sha256) {
    this.#sha256 = sha256;
  }

  /** Why a line is wrong; undefined where it is not. */
  add(line: string): string | undefined {
    const trimmed = line.replaceAll(/^[ \t]+|[ \t]+$/g, '');
    if (trimmed === '' || trimmed.startsWith('#')) return undefined;
    // biome-ignore lint/suspicious/noControlCharactersInRegex: the specification names the octets
    if (/[\u0000-\u0008\u000a-\u001f\u007f]/.test(trimmed)) return 'it holds a control character';
    const [word, ...items] = trimmed.split(/[ \t]+/);
    switch (word) {
      case 'log':
        return this.#addLog(items);
      case 'witness':
        return this.#addWitness(items);
      case 'group':
        return this.#addGroup(items);
      case 'quorum':
        return this.#setQuorum(items);
      default:
        return `expected log, witness, group or quorum, found "${word}"`;
    }
  }

  policy(): Policy | undefined {
    if (this.#quorum === undefined) return undefined;
    return { logs: this.#logs, witnesses: this.#witnesses, groups: this.#groups, quorum: this.#quorum };
  }

  #addLog([vkey = '', url, ...rest]: readonly string[]): string | undefined {
    if (rest.length > 0) return 'expected: log <vkey> [<url>]';
    const key = parseVerifierKey(this.#sha256, vkey);
    if (key?.type !== ED25519) return `"${vkey}" is no vkey of a log (type 01)`;
    if (this.#logs.some((other) => equal(other.key.publicKey, key.publicKey)))
      return 'this log is listed twice';
    this.#logs.push({ key, ...(url !== undefined && { url }) });
    return undefined;
  }

  #addWitness([name = '', vkey = '', url, ...rest]: readonly string[]): string | undefined {
    if (rest.length > 0) return 'expected: witness <name> <vkey> [<url>]';
    const taken = this.#newName(name);
    if (taken !== undefined) return taken;
    const key = parseVerifierKey(this.#sha256, vkey);
    if (key?.type !== COSIGNATURE_V1) return `"${vkey}" is no vkey of a witness (type 04)`;
    const others = [...this.#witnesses.values()];
    if (others.some((other) => equal(other.key.publicKey, key.publicKey)))
      return 'this witness is listed twice';
    this.#witnesses.set(name, { key, ...(url !== undefined && { url }) });
    return undefined;
  }

  #addGroup([name = '', k = '', ...members]: readonly string[]): string | undefined {
    const taken = this.#newName(name);
    if (taken !== undefined) return taken;
    const threshold =
      k === 'all' ? members.length : k === 'any' ? 1 : /^[1-9]\d{0,5}$/.test(k) ? Number(k) : 0;
    if (threshold < 1 || threshold > members.length) {
      return `expected all, any or a number from 1 to ${members.length}, found "${k}"`;
    }
    for (const member of members) {
      if (!this.#isKnown(member)) return `"${member}" is not defined above this line`;
      if (this.#grouped.has(member)) return `"${member}" is in a group already`;
      this.#grouped.add(member);
    }
    this.#groups.set(name, { threshold, members });
    return undefined;
  }

  #setQuorum([name = '', ...rest]: readonly string[]): string | undefined {
    if (rest.length > 0) return 'expected: quorum <name>';
    if (this.#quorum !== undefined) return 'there is a quorum line already';
    if (name !== 'none' && !this.#isKnown(name)) return `"${name}" is not defined above this line`;
    this.#quorum = name;
    return undefined;
  }

  #isKnown(name: string): boolean {
    return this.#witnesses.has(name) || this.#groups.has(name);
  }

  #newName(name: string): string | undefined {
    if (name === '' || name === 'none') return `"${name}" cannot be the name of a witness or group`;
    if (this.#isKnown(name)) return `"${name}" is defined twice`;
    return this.#witnesses.size + this.#groups.size >= NAMES_MAX ? 'there are too many names' : undefined;
  }
}
