/** What a guest says reaches a terminal without what a terminal obeys, and a file as it is. */
import { PassThrough } from 'node:stream';
import test from 'ava';
import { putOut, runLine, words } from '#actors/chassis/cli/say';
import { type Io, outOf } from '#runtime/cli/io';
import type { SandboxRun } from '#schemas/sandbox';

const EVIL = 'ok\u001b[2J\u009b1A\r\u0007 done';

function put(bytes: Uint8Array, isTTY: boolean, json = false): Buffer {
  const chunks: Uint8Array[] = [];
  const stdout = { isTTY, write: (chunk: Uint8Array | string) => chunks.push(Buffer.from(chunk as string)) };
  const io = { stdout, env: {} } as unknown as Io;
  putOut(bytes, io, outOf(io, json));
  return Buffer.concat(chunks);
}

test('words of a guest are one line that a terminal only shows', (t) => {
  t.notRegex(words(`${EVIL}\nerror: forged`), /\p{Cc}/u);
  const run = { exit: 'task_failed', message: EVIL, fuel: 1, ms: 1, memoryBytes: 0, hostCalls: 0, level: '' };
  const io = { stdout: new PassThrough(), env: {} } as unknown as Io;
  t.notRegex(runLine(run as SandboxRun, outOf(io, false)), /\p{Cc}/u);
});

test('output is as it is for a program, shown to eyes, and left out where data is asked for', (t) => {
  const evil = Buffer.from(EVIL);
  t.is(put(evil, false).toString(), `${EVIL}\n`);
  t.is(put(evil, true).toString(), 'ok [2J 1A   done\n');
  t.is(put(Buffer.from('a\tb\n'), true).toString(), 'a\tb\n');
  const bytes = Buffer.from([0xff, 0, 0x1b]);
  t.deepEqual(put(bytes, false), bytes, 'what is no text has no line to end');
  t.is(put(evil, false, true).length, 0);
});
