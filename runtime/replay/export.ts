/** Steps as files for other tools. Every format is lines of text, one step a line (CSV after a line of names). */
import type { ReplayStep } from './report.ts';

export const EXPORT_FORMATS = ['jsonl', 'csv', 'ndjson', 'inspector'] as const;
/** Version of the events' shapes, those of @statelyai/inspect. */
const INSPECTOR_PROTOCOL = '0.7.0';
export type ExportFormat = (typeof EXPORT_FORMATS)[number];

/** The columns of `csv` and `ndjson`, with the Parquet type that `ndjson` is ready for. */
export const COLUMNS = {
  seq: 'INT64',
  shard: 'INT32',
  commit: 'INT64',
  entry: 'INT32',
  at_ms: 'INT64',
  actor: 'STRING',
  actor_type: 'STRING',
  machine: 'STRING',
  op: 'STRING',
  event_type: 'STRING',
  event: 'STRING (JSON)',
  cause: 'STRING',
  sender: 'STRING',
  severity: 'STRING',
  trace: 'STRING',
  status: 'STRING',
  value_before: 'STRING (JSON)',
  value_after: 'STRING (JSON)',
  context_after: 'STRING (JSON)',
  reply: 'STRING (JSON)',
  error_code: 'STRING',
  error_message: 'STRING',
} as const;

type Flat = { readonly [K in keyof typeof COLUMNS]: string | number | null };

/** The line that goes before the first step; undefined where there is none. */
export function headOf(format: ExportFormat): string | undefined {
  return format === 'csv' ? Object.keys(COLUMNS).join(',') : undefined;
}

/** The lines of one step. */
export function linesOf(format: ExportFormat, step: ReplayStep): readonly string[] {
  switch (format) {
    case 'jsonl':
      return [jsonOf(step)];
    case 'ndjson':
      return [JSON.stringify(flat(step))];
    case 'csv':
      return [Object.values(flat(step)).map(cell).join(',')];
    case 'inspector':
      return inspectorEvents(step).map(jsonOf);
  }
}

function flat({ seq, shard, index, n, at, entry, before, after }: ReplayStep): Flat {
  const { cause, actor, event, reply, error } = entry;
  const type = typeOf(event);
  return {
    seq,
    shard,
    commit: index,
    entry: n,
    at_ms: at,
    actor,
    actor_type: actor.slice(0, actor.indexOf('/')),
    machine: after?.machine ?? entry.machine ?? null,
    op: entry.op ?? 'event',
    event_type: type ?? null,
    event: text(event),
    cause: cause.kind,
    sender: ('from' in cause ? cause.from : undefined) ?? null,
    severity: entry.severity ?? 'INFO',
    trace: entry.trace ?? null,
    status: after?.status ?? null,
    value_before: text(before?.value),
    value_after: text(after?.value),
    context_after: text(after?.context),
    reply: text(reply),
    error_code: error?.code ?? null,
    error_message: error?.message ?? null,
  };
}

/** Events of the Stately inspector: `@xstate.actor` where an actor begins, then the event and the snapshot it led to. */
function inspectorEvents({ seq, n, at, entry, before, after }: ReplayStep): object[] {
  const { actor, cause } = entry;
  const common = { sessionId: actor, rootId: actor, createdAt: String(at), _version: INSPECTOR_PROTOCOL };
  const id = `${seq}.${n}`;
  const snapshot =
    after === undefined ? undefined : { status: after.status, value: after.value, context: after.context };
  const events: object[] = [];
  if (before === undefined && after !== undefined) {
    const parentId = entry.parent?.address;
    const name = after.machine;
    events.push({
      ...common,
      id: `${id}.actor`,
      type: '@xstate.actor',
      name: actor,
      // What the inspector draws is known by name only: a machine's definition is in no log.
      definition: JSON.stringify({ id: name }),
      ...(parentId !== undefined && { parentId }),
      snapshot,
    });
  }
  const sourceId = 'from' in cause ? cause.from : undefined;
  const event = entry.event ?? { type: entry.op ?? 'event' };
  events.push({
    ...common,
    id: `${id}.event`,
    type: '@xstate.event',
    event,
    ...(sourceId !== undefined && { sourceId }),
  });
  if (snapshot !== undefined) {
    events.push({ ...common, id: `${id}.snapshot`, type: '@xstate.snapshot', event, snapshot });
  }
  return events;
}

function typeOf(event: unknown): string | undefined {
  const type = typeof event === 'object' && event !== null && 'type' in event ? event.type : undefined;
  return typeof type === 'string' ? type : undefined;
}

function text(value: unknown): string | null {
  return value === undefined ? null : jsonOf(value);
}

/** RFC 4180. A formula is data: what a spreadsheet would run begins with a quote. */
function cell(value: string | number | null): string {
  if (value === null) return '';
  const plain = typeof value === 'string' && /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value);
  return /[",\r\n]/.test(plain) ? `"${plain.replaceAll('"', '""')}"` : plain;
}

/** Bytes as base64. */
function jsonOf(value: unknown): string {
  return JSON.stringify(value, (_, field: unknown) =>
    field instanceof Uint8Array ? Buffer.from(field).toString('base64') : field,
  );
}
