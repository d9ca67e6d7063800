/** `infrafabric/coordinator`: what workers, people and tools need of the coordinator. */
export type { BoardAction, BoardGraph, BoardReply } from '#schemas/board';
export type { Artifact, ArtifactKind, Check, GroundedClaim, Submission } from '#schemas/completion';
export { type Relationship, TRUST } from '#schemas/relationship';
export type { RoundManifest, RoundView } from '#schemas/round';
export type { SessionInput, SessionView } from '#schemas/session';
export type { SwarmTemplate, SwarmView } from '#schemas/swarm';
export type { Said, TaskInput, TaskReply, TaskSpecInput } from '#schemas/task';
export type { TaskEvent, TaskView } from '#schemas/task-view';
export { openCoordinator } from './client.ts';
export type * from './types.ts';
