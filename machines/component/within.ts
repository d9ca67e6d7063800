/** Whether a task asks for no more than the contract of its component has. Pure; gives what is too much, in words. */
import { coversPath, coversPattern, type Grant } from '#schemas/grant';
import type { TaskLimits } from '#schemas/sandbox';

export type AskedLimits = { readonly [Name in keyof TaskLimits]?: TaskLimits[Name] | undefined };

/** What is not asked for is what is allowed. */
export function askedLimits(asked: AskedLimits, allowed: TaskLimits): TaskLimits {
  const names = Object.keys(allowed) as (keyof TaskLimits)[];
  return Object.fromEntries(names.map((name) => [name, asked[name] ?? allowed[name]])) as TaskLimits;
}

export function limitsBeyond(asked: TaskLimits, allowed: TaskLimits): string[] {
  return (Object.keys(allowed) as (keyof TaskLimits)[])
    .filter((name) => asked[name] > allowed[name])
    .map((name) => `limits.${name} ${asked[name]} is above ${allowed[name]}`);
}

export function grantBeyond(asked: Grant, allowed: Grant): string[] {
  const beyond: string[] = [];
  const need = (isCovered: boolean, what: string): void => {
    if (!isCovered) beyond.push(what);
  };
  need(asked.ttlMs <= allowed.ttlMs, `ttlMs ${asked.ttlMs} is above ${allowed.ttlMs}`);
  for (const event of asked.emit)
    need(
      allowed.emit.some((one) => coversPattern(one, event)),
      `emit ${event}`,
    );
  for (const { prefix, write } of asked.kv)
    need(
      allowed.kv.some((one) => prefix.startsWith(one.prefix) && (one.write || !write)),
      `kv ${prefix}${write ? ' to write' : ''}`,
    );
  for (const { to, events } of asked.ask) {
    const doors = allowed.ask.filter((one) => coversPattern(one.to, to));
    for (const event of events)
      need(
        doors.some((one) => one.events.some((name) => coversPattern(name, event))),
        `ask ${to} ${event}`,
      );
  }
  for (const entry of asked.http)
    need(
      allowed.http.some((one) => coversHttp(one, entry)),
      `http ${entry.origin}${entry.path}`,
    );
  for (const name of Object.keys(asked.quotas) as (keyof Grant['quotas'])[])
    need(
      asked.quotas[name] <= allowed.quotas[name],
      `quotas.${name} ${asked.quotas[name]} is above ${allowed.quotas[name]}`,
    );
  return beyond;
}

/** Headers hold credentials: nobody sends those of the contract elsewhere, or names others. */
function coversHttp(allowed: Grant['http'][number], asked: Grant['http'][number]): boolean {
  return (
    asked.origin === allowed.origin &&
    coversPath(allowed.path, asked.path) &&
    asked.methods.every((method) => allowed.methods.includes(method)) &&
    Object.entries(asked.headers).every(([name, value]) => allowed.headers[name] === value)
  );
}
