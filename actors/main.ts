/** The package's front door: run a node in your own process. Clients import `infrafabric/client`. */
export { type Driver, terminal } from '#runtime/effects/driver';
export type { Node } from '#runtime/node/node';
export { type StartOptions as NodeOptions, startNode } from '#runtime/node/start';
export { FabricError } from '#schemas/fabric-error';
export { builtins } from './index.ts';
