/** A segment: a bundle of a range of the log (bundle.ts), compressed. Anyone can check one with `infrafabric verify --bundle`. */
import { gunzipSync, gzipSync } from 'node:zlib';
import {
  type Bundle,
  type BundleHead,
  headLine,
  isBundle,
  messageLine,
  parseBundle,
  tileLine,
} from '#runtime/witness/bundle';
import { toHex } from '#runtime/witness/bytes';
import type { LogMessage } from '#runtime/witness/log-reader';
import { nodePrimitives } from '#runtime/witness/node-crypto';
import type { Tile } from '#runtime/witness/tiles';
import { FabricError } from '#schemas/fabric-error';
import { archiveErrors } from './errors.ts';
import type { Segment } from './manifest.ts';
import type { ArchiveStore } from './store.ts';

/** Unpacked: a file that grows to more than this when it is unpacked is none of ours. */
const UNPACKED_BYTES_MAX = 512 * 1024 * 1024;

export interface SegmentContent {
  readonly head: BundleHead;
  readonly tiles: readonly (readonly [Tile, Uint8Array])[];
  readonly messages: readonly LogMessage[];
}

export function encodeSegment({ head, tiles, messages }: SegmentContent): {
  segment: Segment;
  bytes: Uint8Array;
} {
  const lines = [
    headLine(head),
    ...tiles.map(([tile, bytes]) => tileLine(tile, bytes)),
    ...messages.map(messageLine),
  ];
  const bytes = gzipSync(`${lines.join('\n')}\n`);
  const { from, through } = head;
  const name = `log-${pad(from)}-${pad(through)}.ifbundle.gz`;
  const sha256 = toHex(nodePrimitives.sha256(bytes));
  return { segment: { name, from, through, bytes: bytes.byteLength, sha256 }, bytes };
}

/** Reads a segment back. Throws `archive_damaged` for anything but what was stored. */
export async function readSegment(store: ArchiveStore, segment: Segment): Promise<Bundle> {
  const damaged = (why: string): FabricError =>
    new FabricError(archiveErrors.archive_damaged, `${segment.name} in ${store.place} ${why}`, {
      details: { place: store.place, name: segment.name },
    });
  const bytes = await store.get(segment.name, segment.bytes);
  if (bytes === undefined) throw damaged('is missing');
  if (toHex(nodePrimitives.sha256(bytes)) !== segment.sha256) throw damaged('is not what was stored');
  const bundle = parseBundle(unpacked(bytes, damaged));
  if (!isBundle(bundle)) throw damaged(`is no bundle: line ${bundle.line}: ${bundle.problem}`);
  const isWhole = bundle.messages.every(({ seq }, n) => seq === segment.from + n);
  if (!isWhole || bundle.messages.length !== segment.through - segment.from + 1) throw damaged('has gaps');
  return bundle;
}

/** The manifest may be another's, and its hash with it: what does not unpack, or to far too much, is damage like any other. */
function unpacked(bytes: Uint8Array, damaged: (why: string) => FabricError): string {
  try {
    return gunzipSync(bytes, { maxOutputLength: UNPACKED_BYTES_MAX }).toString();
  } catch (thrown) {
    throw damaged(`does not unpack: ${thrown instanceof Error ? thrown.message : thrown}`);
  }
}

function pad(seq: number): string {
  return String(seq).padStart(15, '0');
}
