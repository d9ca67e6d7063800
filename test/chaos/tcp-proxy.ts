/** A TCP proxy before a NATS cluster: each new connection goes to the next server that takes it. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

const CONNECT_TIMEOUT_MS = 500;

export class TcpProxy {
  readonly #ports: readonly number[];
  readonly #server: Server;
  readonly #pairs = new Set<readonly [Socket, Socket]>();
  #next = 0;
  #isCut = false;
  #isStalled = false;

  private constructor(ports: readonly number[]) {
    this.#ports = ports;
    this.#server = createServer((inbound) => void this.#accept(inbound));
  }

  static async start(ports: readonly number[]): Promise<TcpProxy> {
    const proxy = new TcpProxy(ports);
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    return proxy;
  }

  get url(): string {
    return `nats://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Ends every connection, and refuses new ones until `heal`. */
  cut(): void {
    this.#isCut = true;
    for (const [a, b] of this.#pairs) {
      a.destroy();
      b.destroy();
    }
  }

  /** Passes nothing on until `heal`, and ends nothing: a black hole. */
  stall(): void {
    this.#isStalled = true;
    for (const pair of this.#pairs) for (const socket of pair) socket.pause();
  }

  heal(): void {
    this.#isCut = false;
    this.#isStalled = false;
    for (const pair of this.#pairs) for (const socket of pair) socket.resume();
  }

  async close(): Promise<void> {
    this.cut();
    this.#server.close();
    await once(this.#server, 'close');
  }

  async #accept(inbound: Socket): Promise<void> {
    inbound.on('error', () => inbound.destroy());
    if (this.#isCut) {
      inbound.destroy();
      return;
    }
    inbound.pause();
    for (let tries = 0; tries < this.#ports.length; tries += 1) {
      const port = this.#ports[this.#next++ % this.#ports.length] ?? 0;
      const outbound = await dial(port);
      if (outbound === undefined) continue;
      this.#join(inbound, outbound);
      return;
    }
    inbound.destroy();
  }

  #join(inbound: Socket, outbound: Socket): void {
    const pair = [inbound, outbound] as const;
    this.#pairs.add(pair);
    for (const [from, to] of [pair, [outbound, inbound] as const]) {
      from.setNoDelay(true);
      from.on('data', (chunk) => {
        if (!to.write(chunk)) from.pause();
      });
      to.on('drain', () => {
        if (!this.#isStalled) from.resume();
      });
      from.on('error', () => to.destroy());
      from.on('close', () => {
        to.destroy();
        this.#pairs.delete(pair);
      });
    }
    if (!this.#isStalled) inbound.resume();
    else outbound.pause();
  }
}

async function dial(port: number): Promise<Socket | undefined> {
  const socket = connect({ port, host: '127.0.0.1' });
  try {
    await once(socket, 'connect', { signal: AbortSignal.timeout(CONNECT_TIMEOUT_MS) });
    return socket;
  } catch {
    // The next one, then.
    socket.destroy();
    return undefined;
  }
}
