/**
 * Asks cosigners (C2SP tlog-witness) for their signatures on new checkpoints.
 *
 * K1  No cosigner holds a checkpoint up: each is asked on its own, one request at a time, with a deadline, and always
 *     for the newest checkpoint; those between are skipped.
 * K2  Only cosignatures that verify under the configured key are added.
 */
import type { Logger } from '#runtime/shard/ports';
import { FabricError, toWireError } from '#schemas/fabric-error';
import { witnessServiceErrors } from './errors.ts';
import { pause } from './pause.ts';

const REQUEST_TIMEOUT_MS = 5_000;
/** A few signature lines. */
const REPLY_BYTES_MAX = 16 * 1024;
const RETRY_FIRST_MS = 1_000;
const RETRY_MAX_MS = 60_000;
const SIZE_TYPE = 'text/x.tlog.size';
const CONFLICT = 409;

/** A checkpoint to be cosigned. */
export interface Submission {
  readonly size: number;
  readonly note: string;
  /** Base64 lines of the consistency proof from `oldSize` leaves. */
  proofFrom(oldSize: number): Promise<readonly string[]>;
}

export interface CosignerOptions {
  readonly url: string;
  readonly name: string;
  /** The signature line of this cosigner for the note among those it sent; undefined where none verifies. */
  readonly accept: (note: string, reply: string) => string | undefined;
  /** Takes over a line that was accepted. */
  readonly cosigned: (submission: Submission, line: string) => Promise<void>;
  readonly logger: Logger;
}

export class CosignerClient {
  readonly #options: CosignerOptions;
  readonly #closing = new AbortController();
  #next: Submission | undefined;
  #working: Promise<void> | undefined;
  /** What it cosigned last, as far as it said. */
  #oldSize = 0;

  constructor(options: CosignerOptions) {
    this.#options = options;
  }

  get name(): string {
    return this.#options.name;
  }

  /** K1. Never waits, never throws. */
  submit(submission: Submission): void {
    this.#next = submission;
    this.#working ??= this.#work().finally(() => {
      this.#working = undefined;
    });
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#working;
  }

  async #work(): Promise<void> {
    const { name, logger } = this.#options;
    let retryMs = RETRY_FIRST_MS;
    while (this.#next !== undefined && !this.#closing.signal.aborted) {
      const submission = this.#next;
      this.#next = undefined;
      try {
        await this.#cosign(submission);
        retryMs = RETRY_FIRST_MS;
      } catch (thrown) {
        if (this.#closing.signal.aborted) return;
        logger.warn({ cosigner: name, size: submission.size, error: toWireError(thrown) }, 'not_cosigned');
        this.#next ??= submission;
        await pause(retryMs, this.#closing.signal);
        retryMs = Math.min(retryMs * 2, RETRY_MAX_MS);
      }
    }
  }

  async #cosign(submission: Submission): Promise<void> {
    let reply = await this.#post(submission);
    if (reply.status === CONFLICT && reply.oldSize !== undefined && reply.oldSize !== this.#oldSize) {
      // It remembers another size than we thought: it has just said which.
      this.#oldSize = reply.oldSize;
      if (reply.oldSize > submission.size)
        throw this.#refused(reply.status, `it has seen ${reply.oldSize} leaves`);
      reply = await this.#post(submission);
    }
    if (reply.status !== 200) throw this.#refused(reply.status, reply.text.slice(0, 200));
    // K2
    const line = this.#options.accept(submission.note, reply.text);
    if (line === undefined) throw this.#refused(reply.status, 'its signature does not verify');
    this.#oldSize = submission.size;
    await this.#options.cosigned(submission, line);
  }

  async #post(
    submission: Submission,
  ): Promise<{ status: number; text: string; oldSize: number | undefined }> {
    const proof = this.#oldSize === 0 ? [] : await submission.proofFrom(this.#oldSize);
    const lines = [`old ${this.#oldSize}`, ...proof, '', submission.note];
    const response = await fetch(`${this.#options.url.replace(/\/$/, '')}/add-checkpoint`, {
      method: 'POST',
      body: lines.join('\n'),
      headers: { 'content-type': 'text/plain; charset=utf-8' },
      redirect: 'error',
      signal: AbortSignal.any([this.#closing.signal, AbortSignal.timeout(REQUEST_TIMEOUT_MS)]),
    });
    const text = await boundedText(response);
    const isSize = response.headers.get('content-type') === SIZE_TYPE && /^(?:0|[1-9]\d{0,15})\n$/.test(text);
    return { status: response.status, text, oldSize: isSize ? Number(text) : undefined };
  }

  #refused(status: number, why: string): FabricError {
    return new FabricError(
      witnessServiceErrors.cosigner_refused,
      `Cosigner ${this.#options.name} answered ${status}: ${why}`,
      { details: { cosigner: this.#options.name, status } },
    );
  }
}

async function boundedText(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += chunk.byteLength;
    if (bytes > REPLY_BYTES_MAX) break;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}
