/**
 * One webhook: follows the log and delivers what is wanted of it.
 *
 * W1  At least once, in the order of the log: the place is written after what stands before it was taken. What is
 *     delivered again after a crash has the same id.
 * W2  A receiver that is down or asks for patience is asked again for as long as it takes; it holds up nobody else.
 *     One that refuses for good (3xx, 4xx) is not asked again for that event, and the log of the node says so.
 * W3  Nothing goes to another host than that of the config, nor to a private address it was not let to: the guard of
 *     the driver `http` stands before every attempt, and no redirect is followed.
 * W4  Each attempt is signed anew with the time it is made at. The secret is read from its file at each delivery, and
 *     stands in no log.
 */
import { decodeCommit } from '#runtime/bus/codec';
import { retryDelayMs, retryPolicy } from '#runtime/effects/backoff';
import type { Driver } from '#runtime/effects/driver';
import { type HttpOutput, httpDriver } from '#runtime/effects/http';
import type { Clock, Logger, Random } from '#runtime/shard/ports';
import type { LogReader } from '#runtime/witness/log-reader';
import { FabricError, toWireError } from '#schemas/fabric-error';
import type { WebhookConfig } from '#schemas/webhook';
import { webhookErrors } from './errors.ts';
import { type Happening, happeningsOf, isWanted } from './happenings.ts';
import type { Places } from './place.ts';
import { rest } from './rest.ts';
import { readSecret, signedHeaders } from './signature.ts';

/** What most receivers answer in, twice over. */
const ATTEMPT_MS = 10_000;
const RETRY = retryPolicy({ firstDelayMs: 500, maxDelayMs: 60_000, factor: 2, jitter: 0.2 });
/** Commits without an event for this hook, after which the place is written all the same: a start reads on from there. */
const IDLE_COMMITS_MAX = 2_000;

export interface WebhookParts {
  readonly hook: WebhookConfig;
  readonly secretFile: string;
  readonly realm: string;
  readonly log: LogReader;
  readonly places: Pick<Places, 'read' | 'write'>;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** Delivers until `signal` aborts. */
export async function deliver(parts: WebhookParts, signal: AbortSignal): Promise<void> {
  const { hook, log, places } = parts;
  const driver = driverFor(hook);
  let done = await places.read(hook.name);
  if (done === undefined) {
    // A new hook hears of what happens from now on.
    done = (await log.range()).last;
    await places.write(hook.name, done);
  }
  let written = done;
  for await (const batch of log.follow(done + 1, signal)) {
    for (const { seq, bytes } of batch) {
      const wanted = happeningsOf(decodeCommit(bytes)).filter(({ type }) => isWanted(type, hook.events));
      for (const happening of wanted) await deliverOne(parts, driver, happening, signal);
      if (signal.aborted) return;
      if (wanted.length > 0 || seq - written >= IDLE_COMMITS_MAX) {
        await places.write(hook.name, seq); // W1
        written = seq;
      }
    }
  }
}

/** Returns once it is taken or refused for good, or `signal` aborts. */
async function deliverOne(
  { hook, secretFile, realm, clock, random, logger }: WebhookParts,
  driver: Driver,
  happening: Happening,
  signal: AbortSignal,
): Promise<void> {
  const { id: place, type, at, ...data } = happening;
  const id = `${realm}.${place}`;
  const body = JSON.stringify({ id, type, timestamp: new Date(at).toISOString(), data });
  for (let attempt = 1; !signal.aborted; attempt += 1) {
    try {
      const headers = signedHeaders(id, clock.now(), body, await readSecret(secretFile)); // W4
      const output = (await driver.run({
        key: id,
        actor: `webhook/${hook.name}`,
        input: { url: hook.url, method: 'POST', headers, body },
        attempt,
        signal: AbortSignal.any([signal, AbortSignal.timeout(ATTEMPT_MS)]),
      })) as HttpOutput;
      if (output.status >= 300) {
        const refusal = new FabricError(webhookErrors.webhook_refused, `${hook.name} refuses ${type}`, {
          details: { status: output.status, id },
        });
        logger.error({ webhook: hook.name, error: refusal.toWire() }, 'webhook_refused'); // W2
      }
      return;
    } catch (thrown) {
      if (signal.aborted) return;
      const error = toWireError(thrown);
      logger.warn({ webhook: hook.name, id, attempt, error }, 'webhook_failed');
      const patience = Number(error.details?.['retryAfterMs'] ?? 0);
      const delay = Math.max(
        retryDelayMs(RETRY, attempt, random.next()),
        Math.min(patience, RETRY.maxDelayMs),
      );
      await rest(clock, delay, signal);
    }
  }
}

/** W3. What a receiver says beside its status is of no use here, and must not keep an event from being taken. */
function driverFor({ url, allowPrivate }: WebhookConfig): Driver {
  const { hostname, port, protocol } = new URL(url);
  const host = `${hostname}:${port === '' ? (protocol === 'https:' ? '443' : '80') : port}`;
  return httpDriver({ allowHosts: [host], allowPrivate, statusOnly: true });
}
