/** The TTT report for people. What others wrote never becomes markup. */
import type { Claim, ClaimStatus, Dissent, EntryPlace, TttReport } from './ttt.ts';

const ORDER: readonly ClaimStatus[] = ['revoked', 'disputed', 'unverified', 'verified'];

/** `title` names the realm and the range. */
export function tttMarkdown(
  { claims, refusals, truncated, count, through }: TttReport,
  title: string,
): string {
  const lines = [`# TTT report: ${oneLine(title)}`, ''];
  lines.push(
    `${claims.length} claims: ${count.verified} verified, ${count.disputed} disputed, ${count.revoked} revoked, ${count.unverified} unverified. Read through sequence ${through} of the log.`,
  );
  if (truncated) lines.push('', 'There was more than one report holds: give a task or a time.');
  if (claims.length === 0) lines.push('', 'Nobody claimed anything.');
  for (const status of ORDER) {
    const some = claims.filter((claim) => claim.status === status);
    if (some.length === 0) continue;
    lines.push('', `## ${status[0]?.toUpperCase()}${status.slice(1)}`);
    for (const claim of some) lines.push('', ...claimLines(claim));
  }
  if (refusals.length > 0) {
    lines.push('', '## Refused', '', '| entry | when | receiver | sender | why |', '|---|---|---|---|---|');
    for (const { place, actor, by, code, message } of refusals) {
      const cells = [placeText(place), when(place), codeSpan(actor), by === undefined ? '' : codeSpan(by)];
      lines.push(`| ${[...cells, `${code}: ${oneLine(message)}`].join(' | ')} |`);
    }
  }
  return `${lines.join('\n')}\n`;
}

function claimLines(claim: Claim): string[] {
  const { by, performative, id, entry, furtherEntries, content, confidence, citations, reasons, evidence } =
    claim;
  const also = furtherEntries.length === 0 ? '' : `, also ${furtherEntries.map(placeText).join(', ')}`;
  const where = claim.conversation === undefined ? '' : ` in ${codeSpan(claim.conversation)}`;
  return [
    `### ${codeSpan(by)}: ${performative} to ${codeSpan(claim.actor)}`,
    '',
    `- **Entry** ${placeText(entry)} (sequence ${entry.seq})${also}, ${when(entry)}; message ${codeSpan(id)}${where}`,
    `- **Claim** ${json(content)}${confidence === undefined ? '' : `, confidence ${confidence}`}`,
    ...reasons.map((reason) => `- **Reason** ${oneLine(reason)}`),
    ...evidence.map((one) => `- **Evidence** ${json(one)}`),
    ...citations.map((citation) => `- **Cites** ${codeSpan(citation)}`),
    `- **Status** ${claim.status}: ${oneLine(claim.rule)}`,
    ...claim.dissent.map(dissentLine),
  ];
}

function dissentLine({ by, place, kind, said, rule }: Dissent): string {
  return `- **Dissent** (${kind}) of ${codeSpan(by)}, ${placeText(place)}, ${when(place)}: ${json(said)}; ${oneLine(rule)}`;
}

/** As `infrafabric log` shows it. */
function placeText({ shard, index, n }: EntryPlace): string {
  return `${shard}.${index}${n === 0 ? '' : `+${n}`}`;
}

function when({ at }: EntryPlace): string {
  return new Date(at).toISOString();
}

function json(value: unknown): string {
  return codeSpan(JSON.stringify(value) ?? 'nothing');
}

/** A code span with a fence longer than any in the text. */
function codeSpan(text: string): string {
  const safe = text.replace(/\p{Cc}/gu, ' ').replaceAll('|', '\\|');
  const longest = Math.max(0, ...[...safe.matchAll(/`+/g)].map(([ticks]) => ticks.length));
  const fence = '`'.repeat(longest + 1);
  return longest === 0 ? `${fence}${safe}${fence}` : `${fence} ${safe} ${fence}`;
}

function oneLine(text: string): string {
  return text.replace(/\p{Cc}/gu, ' ').replace(/[\\`*_[\]<>|#]/g, '\\$&');
}
