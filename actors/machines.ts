/** The machines that the package brings along; a replay runs them and needs nothing else. */
import type { MachineDefinition, ShelvedMachine } from '#runtime/machine/registry';

/** By name, each loaded when it is wanted: all together take longer than a realm needs to start. */
export const machines: readonly ShelvedMachine[] = [
  { name: 'approval', load: async () => (await import('#machines/approval')).approval },
  { name: 'board', load: async () => (await import('#machines/board')).board },
  { name: 'breaker', load: async () => (await import('#machines/breaker')).breaker },
  { name: 'budget', load: async () => (await import('#machines/budget')).budget },
  { name: 'component', load: async () => (await import('#machines/component')).component },
  { name: 'costs', load: async () => (await import('#machines/costs')).costs },
  { name: 'counter', load: async () => (await import('#machines/counter')).counter },
  { name: 'journal', load: async () => (await import('#machines/journal')).journal },
  { name: 'keyring', load: async () => (await import('#machines/keyring')).keyring },
  { name: 'ledger', load: async () => (await import('#machines/ledger')).ledger },
  { name: 'policy', load: async () => (await import('#machines/policy')).policy },
  { name: 'prices', load: async () => (await import('#machines/prices')).prices },
  { name: 'redaction', load: async () => (await import('#machines/redaction')).redaction },
  { name: 'registry', load: async () => (await import('#machines/registry')).registry },
  { name: 'round', load: async () => (await import('#machines/round')).round },
  { name: 'runner', load: async () => (await import('#machines/runner')).runner },
  { name: 'sandbox', load: async () => (await import('#machines/sandbox')).sandbox },
  { name: 'session', load: async () => (await import('#machines/session')).session },
  { name: 'supervisor', load: async () => (await import('#machines/supervisor')).supervisor },
  { name: 'swarm', starts: ['runner'], load: async () => (await import('#machines/swarm')).swarm },
  { name: 'task', load: async () => (await import('#machines/task')).task },
  { name: 'witness', load: async () => (await import('#machines/witness')).witness },
  { name: 'worker', load: async () => (await import('#machines/worker')).worker },
];

export async function allMachines(): Promise<MachineDefinition[]> {
  return await Promise.all(machines.map(({ load }) => load()));
}
