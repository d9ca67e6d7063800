/**
 * One call: read, held, forwarded, counted, charged.
 *
 * X1  Chunks go on as they come, and no faster than the caller takes them. Only events of which the end is still under way are
 *     held, and only where one of them may have to be hidden.
 * X2  A caller that goes away mid-stream ends the call at the provider, and pays for what was made until then. One that goes
 *     away from an answer in one piece pays what the provider says: it makes it anyway.
 * X3  A call to which the provider answered nothing, or an error, costs nothing; but one that the caller left once the provider
 *     had it costs what was asked: nobody reads for nothing.
 * X4  An answer that broke off before its figures, whoever broke it off, counts as much as it may have made where its model may think
 *     out of sight: what came of it says nothing of that.
 */
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { FabricError } from '#schemas/fabric-error';
import type { Circuit } from './circuit.ts';
import { EventSplitter } from './events.ts';
import { forwarded, RECORD_HEADER, returned } from './headers.ts';
import type { Wanted } from './request.ts';
import { Tally } from './tally.ts';
import type { Held, Till } from './till.ts';
import type { Upstream } from './upstream.ts';
import type { Endpoint, Refusal } from './wire.ts';

/** Of an answer in one piece, what is kept to read its usage; it goes on whole whatever its size. */
const ANSWER_BYTES_MAX = 64 * 2 ** 20;

export interface Exchange {
  readonly till: Till;
  readonly upstream: Upstream;
  /** The breaker of the provider, where one is told. */
  readonly circuit: Circuit | undefined;
  readonly isProbe: boolean;
  readonly endpoint: Endpoint;
  /** The provider shows all that its models make. */
  readonly showsAll: boolean;
  readonly wanted: Wanted;
  readonly held: Held;
  readonly path: string;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

/** Resolves once the caller has its answer, or went away; gives a refusal where there is nothing to pass on. */
export async function exchange(one: Exchange): Promise<Refusal | undefined> {
  const { till, upstream, circuit, isProbe, wanted, held, path, request, response } = one;
  const gone = new AbortController();
  const onClose = (): void => gone.abort();
  response.once('close', onClose);
  let isSent = false;
  try {
    const headers = forwarded(request.headers, upstream);
    headers['traceparent'] = held.call.traceparent;
    // X2: what is made in one piece is made anyway.
    const signal = wanted.isStream ? gone.signal : undefined;
    const answer = await upstream.send('POST', path, headers, Buffer.from(wanted.body), signal, () => {
      isSent = true;
    });
    circuit?.answered(answer.statusCode ?? 502, isProbe);
    return await answered(one, answer, gone.signal);
  } catch (thrown) {
    const isLeft = gone.signal.aborted && wanted.isStream;
    if (isLeft && isSent) till.charge(held, { ...counted(one, new Tally(), false), outcome: 'aborted' });
    else till.giveBack(held);
    if (gone.signal.aborted) {
      // Nobody knows how it would have ended: somebody else tries.
      if (isProbe) circuit?.tell(false, isProbe, 'its caller left before there was an answer');
      return undefined;
    }
    const refusal = refusalOf(thrown);
    circuit?.tell(false, isProbe, refusal.message);
    return refusal;
  } finally {
    response.off('close', onClose);
  }
}

async function answered(
  one: Exchange,
  answer: IncomingMessage,
  gone: AbortSignal,
): Promise<Refusal | undefined> {
  const { till, held, response } = one;
  const status = answer.statusCode ?? 502;
  response.writeHead(status, { ...returned(answer.headers), [RECORD_HEADER]: held.call.id });
  const isGood = status >= 200 && status < 300;
  if (!isGood) {
    // X3.
    await passOn(answer, response, gone);
    till.giveBack(held);
    return undefined;
  }
  response.flushHeaders();
  const isEvents = /^text\/event-stream\b/i.test(answer.headers['content-type'] ?? '');
  const isWhole = isEvents ? await streamed(one, answer, gone) : await inOnePiece(one, answer, gone);
  if (!isWhole && !response.destroyed) response.destroy();
  return undefined;
}

/** True where it came to its end. */
async function streamed(one: Exchange, answer: IncomingMessage, gone: AbortSignal): Promise<boolean> {
  const { till, held, endpoint, wanted, response } = one;
  const tally = new Tally();
  const splitter = new EventSplitter();
  const count = (events: ReturnType<EventSplitter['push']>): Buffer[] =>
    events.flatMap(({ bytes, data }) => {
      const parsed = data === undefined || data === '[DONE]' ? undefined : parse(data);
      if (parsed === undefined) return [bytes];
      tally.add(endpoint.event(parsed));
      return wanted.isUsageHidden && endpoint.isUsageOnly?.(parsed) === true ? [] : [bytes];
    });
  let isWhole = false;
  try {
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      const shown = count(splitter.push(chunk));
      // X1.
      await write(response, wanted.isUsageHidden ? shown : [chunk], gone);
      if (gone.aborted) break;
    }
    const last = count(splitter.end());
    isWhole = answer.complete && !gone.aborted;
    if (isWhole) {
      if (wanted.isUsageHidden) await write(response, last, gone);
      response.end();
    }
  } catch {
    // The provider broke off: what was made is charged below, and the caller sees a stream that breaks off.
  } finally {
    answer.destroy();
    const outcome = isWhole ? 'complete' : gone.aborted ? 'aborted' : 'failed';
    till.charge(held, { ...counted(one, tally, isWhole), outcome });
  }
  return isWhole;
}

async function inOnePiece(one: Exchange, answer: IncomingMessage, gone: AbortSignal): Promise<boolean> {
  const { till, held, endpoint, response } = one;
  const tally = new Tally();
  const kept: Buffer[] = [];
  let bytes = 0;
  let isWhole = false;
  try {
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      bytes += chunk.byteLength;
      if (bytes <= ANSWER_BYTES_MAX) kept.push(chunk);
      if (!gone.aborted) await write(response, [chunk], gone);
    }
    isWhole = answer.complete;
    if (isWhole) response.end();
  } catch {
    // As with a stream.
  } finally {
    const body = bytes <= ANSWER_BYTES_MAX ? parse(Buffer.concat(kept).toString('utf8')) : undefined;
    // Where the provider told nothing, what came is all there is to go by.
    tally.add(body === undefined ? { made: Buffer.concat(kept).toString('latin1') } : endpoint.answer(body));
    const outcome = !isWhole ? 'failed' : gone.aborted ? 'aborted' : 'complete';
    till.charge(held, { ...counted(one, tally, isWhole), outcome });
  }
  return isWhole;
}

/** X4. */
function counted({ held, wanted, showsAll }: Exchange, tally: Tally, isWhole: boolean) {
  const outputMax = held.bound.output;
  const isAllKnown = isWhole || showsAll;
  return tally.result(held.call.bodyBytes, isAllKnown ? undefined : { thinks: wanted.thinks, outputMax });
}

/** An answer that nobody counts. */
export async function passOn(
  answer: IncomingMessage,
  response: ServerResponse,
  gone: AbortSignal,
): Promise<void> {
  try {
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      await write(response, [chunk], gone);
      if (gone.aborted) break;
    }
    if (answer.complete) response.end();
    else response.destroy();
  } catch {
    response.destroy();
  }
}

/** Waits while the caller does not take what is written. */
async function write(response: ServerResponse, chunks: readonly Buffer[], gone: AbortSignal): Promise<void> {
  let isFull = false;
  for (const chunk of chunks) isFull = !response.write(chunk);
  if (!isFull || gone.aborted) return;
  await once(response, 'drain', { signal: gone }).catch(() => undefined);
}

export function refusalOf(thrown: unknown): Refusal {
  if (thrown instanceof FabricError)
    return {
      kind: thrown.code === 'provider_silent' ? 'provider_silent' : 'provider_away',
      message: thrown.message,
    };
  return { kind: 'provider_away', message: 'The provider cannot be reached.' };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
