/** Signatures as Standard Webhooks has them, so that receivers check them with a library of their own language. */
import { createHmac } from 'node:crypto';
import { open } from 'node:fs/promises';
import { FabricError } from '#schemas/fabric-error';
import { webhookErrors } from './errors.ts';

const PREFIX = 'whsec_';
const SECRET_BYTES_MIN = 16;
const SECRET_FILE_BYTES_MAX = 4_096;
/** Mode bits by which others than the owner may read or write a file. */
const OTHERS = 0o077;

/** Headers of one attempt. `at` is ms since the epoch: receivers refuse what is old. */
export function signedHeaders(
  id: string,
  at: number,
  body: string,
  secret: Uint8Array,
): Readonly<Record<string, string>> {
  const timestamp = String(Math.floor(at / 1_000));
  const mac = createHmac('sha256', secret).update(`${id}.${timestamp}.${body}`).digest('base64');
  return {
    'webhook-id': id,
    'webhook-timestamp': timestamp,
    'webhook-signature': `v1,${mac}`,
    'content-type': 'application/json',
  };
}

/** Throws `webhook_secret_missing`, `webhook_secret_open`, `webhook_secret_bad`. */
export async function readSecret(file: string): Promise<Uint8Array> {
  let text: string;
  try {
    await using handle = await open(file, 'r');
    const { mode, size } = await handle.stat();
    if ((mode & OTHERS) !== 0) throw wrong('webhook_secret_open', `Others may read ${file}`, file);
    if (size > SECRET_FILE_BYTES_MAX) throw wrong('webhook_secret_bad', `${file} is no secret`, file);
    text = (await handle.readFile('utf8')).trim();
  } catch (cause) {
    if (cause instanceof FabricError) throw cause;
    throw wrong('webhook_secret_missing', `Cannot read ${file}`, file, cause);
  }
  const secret = text.startsWith(PREFIX)
    ? Buffer.from(text.slice(PREFIX.length), 'base64')
    : Buffer.from(text, 'utf8');
  if (secret.byteLength < SECRET_BYTES_MIN)
    throw wrong('webhook_secret_bad', `The secret in ${file} is too short`, file);
  return secret;
}

function wrong(kind: keyof typeof webhookErrors, message: string, file: string, cause?: unknown) {
  return new FabricError(webhookErrors[kind], message, { details: { file }, cause });
}
