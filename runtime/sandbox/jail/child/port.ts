/** A guest's way out: frames to the parent. What is too long is said to the guest here; the parent checks it again. */
import type { WorldPort } from '../../world/world.ts';
import { CALL_BYTES_MAX, LOG_LINE_BYTES } from './bounds.ts';
import { exit } from './exit.ts';
import { FRAME, fromText, toText } from './frames.ts';
import { Ended } from './outcome.ts';
import { receive, send } from './wire.ts';

export function openPort(logBytesMax: number): WorldPort {
  let logBytes = 0;
  return {
    log: (level, text) => {
      const line = toText(text);
      logBytes += line.byteLength + LOG_LINE_BYTES;
      if (logBytes > logBytesMax) {
        throw new Ended('task_logs_exceeded', `The guest logged more than ${logBytesMax} bytes`);
      }
      send(FRAME.log, [toText(level), line]);
    },
    call: (kind, args) => {
      const fields = args.map((arg) => (typeof arg === 'string' ? toText(arg) : arg));
      if (fields.reduce((sum, { byteLength }) => sum + byteLength, 0) > CALL_BYTES_MAX) {
        throw `call_too_big: the arguments of a call have at most ${CALL_BYTES_MAX} bytes`;
      }
      send(FRAME.call, [toText(kind), ...fields]);
      const answer = receive();
      if (answer === undefined) exit(0); // the parent is gone
      const [verdict, ...values] = answer.fields;
      if (fromText(verdict) === 'ok') return values;
      throw `${fromText(values[0])}: ${fromText(values[1])}`;
    },
  };
}
