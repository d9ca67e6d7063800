/** What of an entry can be asked for: pure, and the same for the index and for a scan of the log. */
import type { Commit, Entry, Operation, Severity } from '#schemas/commit';

export interface Facets {
  readonly actor: string;
  /** Type of the actor: the first part of its address. */
  readonly type: string;
  readonly op: Operation;
  /** Type of the event. */
  readonly event?: string;
  readonly severity: Severity;
  /** W3C trace id, 32 hexadecimal digits. */
  readonly trace?: string;
  readonly conversation?: string;
  /** Address of the task it concerns: the actor, else the sender, else the first receiver that is one. */
  readonly task?: string;
  readonly cause: Entry['cause']['kind'];
  /** Id of the message, or of the ask. */
  readonly message?: string;
  readonly sender?: string;
}

/** All that are given must hold. Times are ms since the epoch, both ends included. */
export interface IndexQuery {
  readonly actor?: string;
  readonly type?: string;
  /** A trace id. */
  readonly trace?: string;
  readonly conversation?: string;
  /** Address of a task. */
  readonly task?: string;
  readonly message?: string;
  readonly sender?: string;
  /** This or worse. */
  readonly severity?: Severity;
  readonly since?: number;
  readonly until?: number;
  /** First sequence of the log. */
  readonly from?: number;
}

const TASK = 'task/';
const URI = 'if://';
const SEVERITIES: readonly Severity[] = ['INFO', 'WARN', 'HIGH'];
const TRACEPARENT = /^(?:[0-9a-f]{2}-)?([0-9a-f]{32})(?:-[0-9a-f]{16}-[0-9a-f]{2})?$/;

/** 0 for INFO, 2 for HIGH. */
export function severityRank(severity: Severity): number {
  return SEVERITIES.indexOf(severity);
}

/** The id in a traceparent or a bare trace id; undefined for anything else. */
export function traceIdOf(text: string | undefined): string | undefined {
  return text === undefined ? undefined : TRACEPARENT.exec(text)?.[1];
}

export function facetsOf(entry: Entry): Facets {
  const { actor, cause } = entry;
  const message = messageOf(entry.event);
  const from = text(message?.['from']) ?? ('from' in cause ? cause.from : undefined);
  const sender = from === undefined ? undefined : plain(from);
  const trace = traceIdOf(entry.trace);
  const event = text(record(entry.event)?.['type']);
  const conversation = text(message?.['conversation']);
  const id = text(message?.['id']) ?? (cause.kind === 'timer' || !('id' in cause) ? undefined : cause.id);
  const task = [actor, sender, ...receivers(message)].find((address) => address?.startsWith(TASK));
  return {
    actor,
    type: actor.slice(0, Math.max(0, actor.indexOf('/'))),
    op: entry.op ?? 'event',
    severity: entry.severity ?? 'INFO',
    cause: cause.kind,
    ...(event !== undefined && { event }),
    ...(trace !== undefined && { trace }),
    ...(conversation !== undefined && { conversation }),
    ...(task !== undefined && { task }),
    ...(id !== undefined && { message: id }),
    ...(sender !== undefined && { sender }),
  };
}

/** Whether an entry of a commit answers a query; the log itself decides, never the index alone. */
export function matches(query: IndexQuery, { at }: Pick<Commit, 'at'>, entry: Entry): boolean {
  if (query.actor !== undefined && entry.actor !== query.actor) return false;
  if (query.since !== undefined && at < query.since) return false;
  if (query.until !== undefined && at > query.until) return false;
  const facets = facetsOf(entry);
  return (
    is(query.type, facets.type) &&
    is(query.trace, facets.trace) &&
    is(query.conversation, facets.conversation) &&
    is(query.task, facets.task) &&
    is(query.message, facets.message) &&
    is(query.sender, facets.sender) &&
    (query.severity === undefined || severityRank(facets.severity) >= severityRank(query.severity))
  );
}

/** The IFMessage of an event, as it is stored: fields may be sealed. */
export function messageOf(event: unknown): Readonly<Record<string, unknown>> | undefined {
  const { type, message } = record(event) ?? {};
  return typeof type === 'string' && type.startsWith('if.') ? record(message) : undefined;
}

/** An address without its scheme. */
export function plain(address: string): string {
  return address.startsWith(URI) ? address.slice(URI.length) : address;
}

export function record(value: unknown): Readonly<Record<string, unknown>> | undefined {
  const isRecord = typeof value === 'object' && value !== null && !Array.isArray(value);
  return isRecord ? (value as Record<string, unknown>) : undefined;
}

export function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

function receivers(message: Readonly<Record<string, unknown>> | undefined): string[] {
  const to = message?.['to'];
  return Array.isArray(to) ? to.filter((one): one is string => typeof one === 'string').map(plain) : [];
}

function is(wanted: string | undefined, found: string | undefined): boolean {
  return wanted === undefined || wanted === found;
}
