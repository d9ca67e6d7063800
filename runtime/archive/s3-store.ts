/** An archive in an S3-compatible store; requests are signed with SigV4. */
import { AwsClient } from 'aws4fetch';
import { concat } from '#runtime/witness/bytes';
import { FabricError } from '#schemas/fabric-error';
import { archiveErrors, tooLarge } from './errors.ts';
import type { ArchiveStore } from './store.ts';

const REGION_DEFAULT = 'us-east-1';
/** A segment is a few megabytes; slower than this is not there. */
const TIMEOUT_MS = 120_000;
const ATTEMPTS = 3;

/**
 * `s3://bucket/prefix`. AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_REGION and, for stores other
 * than Amazon's, AWS_ENDPOINT_URL are read from `env`. Throws `archive_unreachable` where credentials are missing.
 */
export function s3Store(place: string, env: Readonly<Record<string, string | undefined>>): ArchiveStore {
  const [bucket = '', ...prefix] = place.slice('s3://'.length).replace(/\/+$/, '').split('/');
  const { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey } = env;
  if (bucket === '' || !accessKeyId || !secretAccessKey) {
    throw new FabricError(archiveErrors.archive_unreachable, `${place} needs a bucket and credentials`, {
      details: { place },
    });
  }
  const region = env['AWS_REGION'] || REGION_DEFAULT;
  const endpoint = env['AWS_ENDPOINT_URL'] || `https://s3.${region}.amazonaws.com`;
  const sessionToken = env['AWS_SESSION_TOKEN'];
  const client = new AwsClient({
    accessKeyId,
    secretAccessKey,
    region,
    service: 's3',
    retries: ATTEMPTS - 1,
    ...(sessionToken ? { sessionToken } : {}),
  });
  const urlOf = (name: string): string => [endpoint.replace(/\/+$/, ''), bucket, ...prefix, name].join('/');
  const request = async (name: string, init: RequestInit): Promise<Response> => {
    try {
      return await client.fetch(urlOf(name), { ...init, signal: AbortSignal.timeout(TIMEOUT_MS) });
    } catch (cause) {
      throw new FabricError(archiveErrors.archive_unreachable, `${place} does not answer`, {
        details: { place, name },
        cause,
      });
    }
  };
  const refused = (name: string, { status, statusText }: Response): FabricError =>
    new FabricError(
      archiveErrors.archive_unreachable,
      `${place} answered ${status} ${statusText} for ${name}`,
      {
        details: { place, name, status },
      },
    );
  return {
    place,

    async put(name, bytes) {
      const response = await request(name, { method: 'PUT', body: new Uint8Array(bytes) });
      if (!response.ok) throw refused(name, response);
      await response.arrayBuffer();
    },

    async get(name, bytesMax) {
      const response = await request(name, { method: 'GET' });
      if (response.status === 404) {
        await response.arrayBuffer();
        return undefined;
      }
      if (!response.ok) throw refused(name, response);
      return await bodyOf(response, bytesMax, () => tooLarge(place, name, bytesMax));
    },
  };
}

/** What a store says of a size need not be so: the bytes are counted as they come. */
async function bodyOf(response: Response, bytesMax: number, tooMuch: () => FabricError): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const part of response.body ?? []) {
    bytes += part.byteLength;
    // Leaving the loop lets go of the rest.
    if (bytes > bytesMax) throw tooMuch();
    parts.push(part);
  }
  return concat(...parts);
}
