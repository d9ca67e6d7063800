/** Reads a response without ever holding more than was allowed. */
import { FabricError } from '#schemas/fabric-error';
import { effectErrors } from './errors.ts';

/** Throws `http_body_too_big`; what is left of the body is not read. */
export async function readBody(response: Response, bytesMax: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body ?? []) {
    size += chunk.byteLength;
    if (size > bytesMax) {
      throw new FabricError(effectErrors.http_body_too_big, `The answer is above ${bytesMax} bytes`, {
        details: { bytesMax, status: response.status },
      });
    }
    chunks.push(chunk);
  }
  return new Uint8Array(Buffer.concat(chunks));
}
