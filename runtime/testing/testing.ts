/** What a test of your own machines imports: `infrafabric/testing`. */
export type { Fate, LiveEvent, Operation } from './memory-bus.ts';
export { MemoryBus } from './memory-bus.ts';
export { memoryLeases } from './memory-leases.ts';
export { memoryMembers } from './memory-members.ts';
export {
  type ActorView,
  type Answer,
  type DriverFake,
  type LoggedEntry,
  type Outcome,
  TestRealm,
  type TestRealmOptions,
  testRealm,
} from './realm.ts';
export { seededRandom } from './seeded-random.ts';
export { VirtualClock } from './virtual-clock.ts';
