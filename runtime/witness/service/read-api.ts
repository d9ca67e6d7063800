/**
 * What anyone may read of the witness log, as C2SP tlog-tiles has it: the checkpoint, tiles and entry bundles; and the
 * metrics beside them. Nothing here changes anything.
 */
import type { HttpReply, HttpRequest } from './http-listener.ts';
import { METRICS_TYPE, metricsText, type WitnessStatus } from './metrics.ts';

const BYTES_TYPE = 'application/octet-stream';
/** What has a path of its own never changes. */
const FOR_EVER = 'public, max-age=31536000, immutable';
const FRESH = 'no-cache';

export interface ReadSource {
  readonly checkpoint: () => string | undefined;
  readonly cosigned: () => string | undefined;
  /** A tile or bundle by its path, `tile/0/x001/234.p/5`; undefined where the published tree has none such. */
  readonly tile: (path: string) => Promise<Uint8Array | undefined>;
  readonly status: () => Promise<WitnessStatus>;
}

export async function answerRead(source: ReadSource, { method, path }: HttpRequest): Promise<HttpReply> {
  if (method !== 'GET' && method !== 'HEAD') {
    return { status: 405, body: 'Only GET and HEAD\n', headers: { allow: 'GET, HEAD' } };
  }
  switch (path) {
    case '/checkpoint':
      return noteReply(source.checkpoint());
    case '/checkpoint.cosigned':
      return noteReply(source.cosigned());
    case '/metrics':
      return {
        status: 200,
        type: METRICS_TYPE,
        body: metricsText(await source.status()),
        headers: { 'cache-control': FRESH },
      };
  }
  const tile = path.startsWith('/tile/') ? await source.tile(path.slice(1)) : undefined;
  if (tile === undefined) return { status: 404, body: 'Not found\n', headers: { 'cache-control': FRESH } };
  return { status: 200, type: BYTES_TYPE, body: tile, headers: { 'cache-control': FOR_EVER } };
}

function noteReply(note: string | undefined): HttpReply {
  const headers = { 'cache-control': FRESH };
  if (note === undefined) return { status: 404, body: 'No checkpoint yet\n', headers };
  return { status: 200, body: note, headers };
}
