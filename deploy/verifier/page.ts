/** The script of the verifier page: reads a bundle that was dropped, and says whether the log in it is what was signed. */
import { hashes, verify } from '@noble/ed25519';
import { sha256, sha512 } from '@noble/hashes/sha2.js';
import { parseBundle } from '#runtime/witness/bundle';
import type { Primitives } from '#runtime/witness/hash';
import { type OfflineReport, verifyBundle } from '#runtime/witness/verify/offline';

/** As much of a page as this needs. */
interface Element {
  textContent: string;
  className: string;
  value: string;
  readonly files: ArrayLike<PageFile> | null;
  append(...nodes: Element[]): void;
  replaceChildren(): void;
  addEventListener(type: string, listener: (event: PageEvent) => void): void;
}

interface PageFile {
  readonly name: string;
  text(): Promise<string>;
}

interface PageEvent {
  readonly dataTransfer?: { readonly files: ArrayLike<PageFile> };
  preventDefault(): void;
}

interface Page {
  getElementById(id: string): Element | null;
  createElement(name: string): Element;
  readonly body: Element;
}

const { document } = globalThis as unknown as { readonly document: Page };
const BREAKS_SHOWN = 50;

hashes.sha512 = sha512;
const primitives: Primitives = {
  sha256,
  verifyEd25519(publicKey, message, signature) {
    try {
      // RFC 8032 to the letter, as Node's own check has it.
      return verify(signature, message, publicKey, { zip215: false });
    } catch {
      // Bytes that are no point of the curve sign nothing.
      return false;
    }
  },
};

function element(id: string): Element {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`the page has no #${id}`);
  return found;
}

async function check(file: PageFile): Promise<void> {
  show('busy', `Checking ${file.name} …`, []);
  const bundle = parseBundle(await file.text());
  if (!('messages' in bundle)) {
    show('bad', 'This is no bundle', [`${file.name}:${bundle.line}: ${bundle.problem}`]);
    return;
  }
  const report = await verifyBundle(primitives, bundle, element('trust').value);
  if (typeof report === 'string') show('bad', 'Nobody can be trusted like that', [report]);
  else tell(report);
}

function tell(report: OfflineReport): void {
  const { ok, commits, from, through, signed, checkpoint, breaks, breakCount } = report;
  const lines = [`${commits} commits, sequence ${from} to ${through}`];
  if (checkpoint === undefined) {
    lines.push(
      'No checkpoint was checked: the chain alone cannot tell a log that was cut off or written anew.',
    );
  } else {
    const who = checkpoint.cosigners.length === 0 ? '' : `, cosigned by ${checkpoint.cosigners.join(', ')}`;
    lines.push(`${signed} compared with the tree of ${checkpoint.size} that ${checkpoint.log} signed${who}`);
    if (report.isOwnTrust)
      lines.push('The key is the one that the file itself names: paste the one that you trust.');
  }
  for (const { kind, shard, index, seq, what } of breaks.slice(0, BREAKS_SHOWN)) {
    const place = [shard, index, seq].map((part) => part ?? '–').join(' / ');
    lines.push(`${kind} at shard / commit / sequence ${place}: ${what}`);
  }
  if (breakCount > BREAKS_SHOWN) lines.push(`… and ${breakCount - BREAKS_SHOWN} more`);
  show(ok ? 'good' : 'bad', ok ? 'The log is what it was' : `${breakCount} breaks`, lines);
}

function show(state: 'busy' | 'good' | 'bad', title: string, lines: readonly string[]): void {
  const result = element('result');
  result.className = state;
  result.replaceChildren();
  const heading = document.createElement('h2');
  heading.textContent = title;
  result.append(heading);
  for (const line of lines) {
    const paragraph = document.createElement('p');
    paragraph.textContent = line;
    result.append(paragraph);
  }
}

function take(files: ArrayLike<PageFile> | null | undefined): void {
  const file = files?.[0];
  if (file === undefined) return;
  check(file).catch((error: unknown) => show('bad', 'The file cannot be read', [String(error)]));
}

const input = element('file');
input.addEventListener('change', () => take(input.files));
document.body.addEventListener('dragover', (event) => event.preventDefault());
document.body.addEventListener('drop', (event) => {
  event.preventDefault();
  take(event.dataTransfer?.files);
});
