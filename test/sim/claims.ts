/** Somebody who holds a claim now and then, and writes to what the claim guards under its fencing token. */
import { acquireLease } from '#runtime/claims/lease';
import type { LeaseStore } from '#runtime/claims/lease-store';
import type { Logger } from '#runtime/shard/ports';
import type { Link } from './link.ts';
import type { Process } from './process.ts';
import type { Server } from './server.ts';

export const CLAIM_KEY = 'work.report';
const CLAIM_TTL_MS = 1_000;
const REST_MS_MAX = 1_500;

export interface ClaimOptions {
  readonly process: Process;
  readonly leases: LeaseStore;
  readonly server: Server;
  readonly link: Link;
  readonly logger: Logger;
}

export function holdClaims(options: ClaimOptions): void {
  void hold(options);
}

async function hold({ process, leases, server, link, logger }: ClaimOptions): Promise<void> {
  const { clock, random } = process;
  const rest = (ms: number): Promise<void> => new Promise((resolve) => void clock.setTimer(resolve, ms));
  for (;;) {
    await rest(process.world.chance.between(10, REST_MS_MAX));
    try {
      const lease = await acquireLease({
        store: leases,
        key: CLAIM_KEY,
        holder: process.name,
        ttlMs: CLAIM_TTL_MS,
        clock,
        random,
        logger,
      });
      if (lease === undefined) continue;
      let isLost = false;
      void lease.lost.then(() => {
        isLost = true;
      });
      for (let writes = 0; writes < 4 && !isLost; writes++) {
        link.up(`guarded ${lease.token}`, () => server.guarded.write(lease.token, process.name));
        await rest(process.world.chance.between(10, CLAIM_TTL_MS));
      }
      await lease.release();
    } catch {
      // The server is away: it tries again after its rest.
    }
  }
}
