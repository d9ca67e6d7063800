/** Leases of a realm beside those of its shards: who has one does for all nodes what one node has to do. */
export const WITNESS_LEASE = 'witness';
export const WEBHOOKS_LEASE = 'webhooks';
