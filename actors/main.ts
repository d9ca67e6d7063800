/** The package's front door: run a node in your own process. Clients import `infrafabric/client`. */
export { type Driver, terminal } from '#runtime/effects/driver';
export { type Node, type NodeOptions, startNode } from '#runtime/node/node';
export { FabricError } from '#schemas/fabric-error';
export { builtins } from './index.ts';
