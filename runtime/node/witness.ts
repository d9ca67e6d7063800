/** The witness of a node, from its config. */
import { resolve } from 'node:path';
import type { NatsConnection } from '@nats-io/nats-core';
import type { Subjects } from '#runtime/bus/subjects';
import { systemClock, systemRandom } from '#runtime/bus/system';
import type { LeaseStore } from '#runtime/claims/lease-store';
import type { Logger } from '#runtime/shard/ports';
import { cosignerOf, cosignersOfPolicy } from '#runtime/witness/service/accept';
import { WitnessService } from '#runtime/witness/service/service';
import type { RealmConfig } from '#schemas/config';
import type { ApiServer } from './api-server.ts';
import { originOf } from './origin.ts';
import type { OwnKeys } from './own-keys.ts';

export interface WitnessParts {
  readonly nodeId: string;
  readonly config: RealmConfig;
  readonly ownKeys: OwnKeys;
  /** The policy file of the config is relative to it. */
  readonly baseDir: string;
  readonly nc: NatsConnection;
  readonly subjects: Subjects;
  readonly leases: LeaseStore;
  readonly api: ApiServer;
  readonly logger: Logger;
}

/** Throws `cosigner_bad_key`, `policy_bad`. */
export function openWitness(parts: WitnessParts): WitnessService {
  const { nodeId, config, ownKeys, baseDir, nc, subjects, leases, api, logger } = parts;
  const origin = originOf(config);
  return new WitnessService({
    nodeId,
    origin,
    config: config.witness,
    nc,
    subjects,
    cosigners: [
      ...config.witness.cosigners.map(({ url, key }) => cosignerOf(url, key)),
      ...(config.witness.policy === undefined
        ? []
        : cosignersOfPolicy(resolve(baseDir, config.witness.policy))),
    ],
    record: ownKeys.record,
    ownKey: () => ownKeys.verifierKey(),
    openSigner: (isFirst) => ownKeys.signer(isFirst),
    mayFollow: (signed, key) => ownKeys.isSuccessor(signed, key),
    serve: (verb, handle) => api.serve(verb, handle),
    leases,
    leaseTtlMs: config.limits.leaseTtlMs,
    clock: systemClock,
    random: systemRandom,
    logger,
  });
}
