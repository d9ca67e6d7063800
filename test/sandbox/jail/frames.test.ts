import { setImmediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import test from 'ava';
import fc from 'fast-check';
import { decodeFrame, encodeFrame, FRAME, FrameError, HEAD_BYTES } from '#runtime/sandbox/jail/child/frames';
import { FrameReader } from '#runtime/sandbox/jail/frame-reader';
import { readMessage } from '#runtime/sandbox/jail/guest-message';

test('a frame comes out as it went in, however the pipe cuts it', (t) => {
  fc.assert(
    fc.property(
      fc.array(fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 5 }), { maxLength: 4 }),
      fc.integer({ min: 1, max: 30 }),
      (frames, step) => {
        const stream = Buffer.concat(frames.map((fields) => encodeFrame(FRAME.log, fields)));
        const seen: number[][][] = [];
        const reader = new FrameReader(
          () => 1_000,
          ({ fields }) => seen.push(fields.map((field) => [...field])),
        );
        for (let at = 0; at < stream.length; at += step) reader.push(stream.subarray(at, at + step));
        t.deepEqual(
          seen,
          frames.map((fields) => fields.map((field) => [...field])),
        );
      },
    ),
  );
});

test('whatever comes out of a pipe is a message or a FrameError', (t) => {
  fc.assert(
    fc.property(
      fc.constantFrom(16, 17, 18, 19, 20, 99),
      fc.array(fc.oneof(fc.uint8Array({ maxLength: 12 }), fc.constant(Buffer.from('kv-get'))), {
        maxLength: 6,
      }),
      fc.uint8Array({ maxLength: 12 }),
      (kind, fields, tail) => {
        const whole = encodeFrame(kind as 16, fields).subarray(HEAD_BYTES);
        for (const body of [whole, Buffer.concat([whole, tail]), whole.subarray(0, whole.length - 1)]) {
          try {
            readMessage(decodeFrame(body));
          } catch (thrown) {
            if (!(thrown instanceof FrameError)) throw thrown;
          }
        }
      },
    ),
  );
  t.pass();
});

test('a frame longer than allowed is refused by its head, and nothing is read after it', (t) => {
  const seen: unknown[] = [];
  const reader = new FrameReader(
    () => 10,
    (frame) => seen.push(frame),
  );
  t.throws(() => reader.push(new Uint8Array([11, 0, 0, 0])), { instanceOf: FrameError });
  reader.push(encodeFrame(FRAME.ready, []));
  t.deepEqual(seen, []);
});

test('a frame that comes in crumbs is held in its own bytes, not in those that brought it', async (t) => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const frame = encodeFrame(FRAME.log, [new Uint8Array(20_000).fill(7)]);
  const seen: number[] = [];
  const reader = new FrameReader(
    () => 30_000,
    ({ fields }) => seen.push(fields[0]?.reduce((sum, byte) => sum + byte, 0) ?? 0),
  );
  const crumbs = [...frame.subarray(0, -1)].map((byte) => {
    const crumb = new Uint8Array([byte]);
    reader.push(crumb);
    return new WeakRef(crumb);
  });
  await setImmediate();
  collect();
  t.true(crumbs.every((crumb) => crumb.deref() === undefined));
  reader.push(frame.subarray(-1));
  t.deepEqual(seen, [140_000]);
});
