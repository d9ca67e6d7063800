/** What the host says to a call, as fields of a frame. */
import { toText } from './child/frames.ts';
import type { HostAnswer, HostCall, HostValues, HttpAnswer } from './types.ts';

/** More is refused: a guest asks for parts. */
const ANSWER_BYTES_MAX = 8 * 1024 * 1024;

export function answerFields(call: HostCall, answer: HostAnswer): readonly Uint8Array[] {
  if (!answer.ok) return refusal(answer.code, answer.message);
  const values = valueFields(call.kind, answer.value);
  const size = values.reduce((sum, { byteLength }) => sum + byteLength, 0);
  if (size > ANSWER_BYTES_MAX) return refusal('answer_too_big', `the answer has ${size} bytes`);
  return [toText('ok'), ...values];
}

function refusal(code: string, message: string): readonly Uint8Array[] {
  return [toText('refused'), toText(code), toText(message)];
}

function valueFields(kind: HostCall['kind'], value: HostValues[HostCall['kind']]): readonly Uint8Array[] {
  switch (kind) {
    case 'emit':
    case 'kv-put':
      return [];
    case 'kv-get':
      return value === undefined ? [] : [value as Uint8Array];
    case 'ask':
      return [toText(value as string)];
    case 'http': {
      const { status, headers, body } = value as HttpAnswer;
      const lines = headers.map(([name, text]) => `${name}: ${text}`).join('\n');
      return [toText(String(status)), toText(lines), body];
    }
  }
}
