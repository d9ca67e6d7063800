/** Events as they are typed: `inc`, `add '{"by":5}'`, or one JSON object with a type. */
import { FabricError } from '#schemas/fabric-error';
import { cliErrors } from './errors.ts';

export interface TypedEvent {
  readonly type: string;
  readonly [field: string]: unknown;
}

/** Reads an event from the command line. Throws `bad_event_text`. */
export function parseEvent(event: string, json: string | undefined): TypedEvent {
  const first = event.trimStart();
  if (first.startsWith('{')) {
    if (json !== undefined) throw bad('The event is JSON already, and more JSON follows it');
    return asEvent(parseJson(event));
  }
  if (event === '' || /\s/.test(event)) throw bad(`"${event}" is not an event type`);
  if (json === undefined) return { type: event };
  const fields = parseJson(json);
  if (typeof fields !== 'object' || fields === null || Array.isArray(fields)) {
    throw bad('The fields of an event are a JSON object');
  }
  if ('type' in fields && fields.type !== event) throw bad(`The JSON has a "type" of its own, not ${event}`);
  return { ...fields, type: event };
}

/** Checks that data is an event. Throws `bad_event_text`. */
export function asEvent(data: unknown): TypedEvent {
  if (typeof data !== 'object' || data === null || Array.isArray(data))
    throw bad('An event is a JSON object');
  if (!('type' in data) || typeof data.type !== 'string' || data.type === '') {
    throw bad('An event has a "type", a text that is not empty');
  }
  return { ...data, type: data.type };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw bad(cause instanceof Error ? cause.message : String(cause), cause);
  }
}

function bad(message: string, cause?: unknown): FabricError {
  return new FabricError(cliErrors.bad_event_text, message, { cause });
}
