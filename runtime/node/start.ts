/** Starts a node. Its server begins first: while that opens its store, the node loads what it runs with. */
import { mkdirSync } from 'node:fs';
import type { Node } from './node.ts';
import type { NodeBuiltins, NodeOptions } from './node-options.ts';
import { openServer } from './open-server.ts';
import { Resources } from './resources.ts';

export interface StartOptions extends Omit<NodeOptions, 'builtins'> {
  /** Given as a function, they are loaded once the server has begun. */
  readonly builtins: NodeBuiltins | (() => Promise<NodeBuiltins>);
}

/**
 * Starts a node and resolves once its shards are open (or taken by other nodes) and the config is applied.
 *
 * Throws `data_locked`, `server_missing`, `server_failed`, `server_unreachable`, `stream_drift`, `shards_changed`,
 * `bad_machine` and what the drivers throw. Nothing is left running after a throw.
 */
export async function startNode(options: StartOptions): Promise<Node> {
  const { dataDir, signal, builtins } = options;
  signal?.throwIfAborted();
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const resources = new Resources();
  const begun = Promise.withResolvers<void>();
  const server = openServer({ ...options, begun: begun.resolve }, resources);
  try {
    await Promise.race([begun.promise, server]);
    const { Node } = await import('./node.ts');
    const given = typeof builtins === 'function' ? await builtins() : builtins;
    const node = new Node({ ...options, builtins: given }, resources);
    await node.start(server);
    return node;
  } catch (thrown) {
    // What is still being opened is closed as well.
    await Promise.allSettled([server]);
    await resources.disposeAsync();
    // What broke because everything was being closed says less than that it was.
    signal?.throwIfAborted();
    throw thrown;
  }
}
