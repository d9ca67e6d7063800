/**
 * The world of sandboxed tasks: carries out calls that a grant permits.
 *
 * V1  What a guest tells, asks and keeps carries the name of its own task and tenant: it speaks for nobody else.
 * V2  An ask and a request have an id made of the task, the place of the call and the call itself: an attempt that is made
 *     again asks nothing twice.
 * V3  Secrets are put in here, and stay: an answer holds none of the headers that were sent.
 * V4  A redirect is an answer: where it leads was not granted.
 */
import { Kvm } from '@nats-io/kv';
import type { NatsConnection } from '@nats-io/nats-core';
import { eventHeaders } from '#runtime/bus/live-event';
import type { Subjects } from '#runtime/bus/subjects';
import { tidyJetStream } from '#runtime/bus/tidy-jetstream';
import { Client } from '#runtime/client/client';
import { type HttpDriverOptions, type HttpOutput, httpDriver } from '#runtime/effects/http';
import type { HostAnswer, HostCall, HttpAnswer } from '#runtime/sandbox/jail/types';
import { FabricError } from '#schemas/fabric-error';
import { SANDBOX_TYPE } from '#schemas/sandbox';
import { TenantStore } from './tenant-store.ts';
import { digestOf } from './transcript.ts';

const ASK_TIMEOUT_MS = 10_000;
const HTTP_TIMEOUT_MS = 30_000;

/** Whose call it is, and which. */
export interface Caller {
  readonly task: string;
  readonly tenant: string;
  /** Place of the call in its run, from 0. */
  readonly at: number;
  /** Of an http call: as they are sent. */
  readonly headers: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
}

export interface World {
  answer(call: HostCall, caller: Caller): Promise<HostAnswer>;
}

export interface WorldOptions {
  readonly nc: NatsConnection;
  readonly subjects: Subjects;
  readonly http?: Pick<HttpDriverOptions, 'allowHosts' | 'allowPrivate' | 'allowEnv'>;
}

export function realmWorld({ nc, subjects, http: httpOptions = {} }: WorldOptions): World {
  const web = httpDriver({ ...httpOptions, redirectsMax: 0 }); // V4.
  let kept: Promise<TenantStore> | undefined;
  /** One for all tasks: each has a subscription. */
  let client: Client | undefined;

  async function perform(call: HostCall, caller: Caller): Promise<HostAnswer> {
    switch (call.kind) {
      case 'emit':
        return emit(call.name, call.body, caller);
      case 'kv-get':
        return done(await (await store()).get(caller.tenant, call.key));
      case 'kv-put':
        await (await store()).put(caller.tenant, call.key, call.value);
        return done(undefined);
      case 'ask': {
        client ??= new Client(nc, { prefix: subjects.prefix, shards: subjects.shards });
        const { reply } = await client.ask(call.to, JSON.parse(call.event), {
          from: `${SANDBOX_TYPE}/${caller.task}`,
          id: idOf(call, caller),
          timeoutMs: ASK_TIMEOUT_MS,
          signal: caller.signal,
        });
        return done(JSON.stringify(reply) ?? 'null');
      }
      case 'http':
        return done(await request(call, caller));
    }
  }

  /** V1: under a name that no machine uses. */
  function emit(name: string, body: string, { task }: Caller): HostAnswer {
    const data = JSON.stringify(JSON.parse(body));
    nc.publish(subjects.event(`${SANDBOX_TYPE}/${task}`, `guest.${name}`), data, { headers: eventHeaders() });
    return done(undefined);
  }

  function store(): Promise<TenantStore> {
    kept ??= new Kvm(tidyJetStream(nc)).open(subjects.buckets.sandbox).then((kv) => new TenantStore(kv));
    return kept;
  }

  async function request(
    call: Extract<HostCall, { readonly kind: 'http' }>,
    caller: Caller,
  ): Promise<HttpAnswer> {
    const { method, url, body } = call;
    const output = (await web.run({
      key: idOf(call, caller),
      actor: `${SANDBOX_TYPE}/${caller.task}`,
      input: { method, url, headers: caller.headers, ...(body.byteLength > 0 && { body }) },
      attempt: 1,
      signal: AbortSignal.any([caller.signal, AbortSignal.timeout(HTTP_TIMEOUT_MS)]),
    })) as HttpOutput;
    return { status: output.status, headers: Object.entries(output.headers), body: bodyOf(output) };
  }

  return {
    async answer(call, caller) {
      try {
        return await perform(call, caller);
      } catch (thrown) {
        caller.signal.throwIfAborted();
        if (thrown instanceof FabricError) return { ok: false, code: thrown.code, message: thrown.message };
        // What a library says may name hosts and files of the node.
        return { ok: false, code: 'sandbox_world_failed', message: `${call.kind} did not work` };
      }
    },
  };
}

/** V2. */
function idOf(call: HostCall, { task, at }: Caller): string {
  return `${SANDBOX_TYPE}:${task}.${at}.${digestOf(call).slice(0, 16)}`;
}

function bodyOf({ json, body }: HttpOutput): Uint8Array {
  if (body instanceof Uint8Array) return body;
  return new TextEncoder().encode(json === undefined ? (body ?? '') : JSON.stringify(json));
}

function done(value: (HostAnswer & { readonly ok: true })['value']): HostAnswer {
  return { ok: true, value };
}
