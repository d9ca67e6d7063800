/**
 * WASI 0.2 with nothing behind it, for guests whose tools link it in: every interface is there, no file, no socket,
 * no variable, no second. Output streams go to the run's log.
 */
import type { Random } from './random.ts';

export interface NoWasi {
  readonly random: Random;
  /** In ms since 1970. */
  readonly now: number;
  /** Takes fuel for what it does by size. */
  readonly pay: (units: number) => void;
  readonly write: (stream: 'stdout' | 'stderr', bytes: Uint8Array) => void;
}

/** A code of `wasi:filesystem/types` and of `wasi:sockets/network`; jco passes it on as the result's error. */
const DENIED = 'access-denied';
const NS_PER_MS = 1_000_000n;
const WRITE_BYTES_MAX = 4_096n;
/** Each is looked up and counted. */
const POLLED_FUEL = 16;

const refuse = (): never => {
  throw DENIED;
};

class Pollable {
  ready(): boolean {
    return true;
  }
  block(): void {}
}

class InputStream {
  read(): never {
    throw { tag: 'closed' };
  }
  blockingRead(): never {
    return this.read();
  }
  subscribe(): Pollable {
    return new Pollable();
  }
}

class IoError {
  toDebugString(): string {
    return DENIED;
  }
}

class Network {}
class DirectoryEntryStream {}
class TerminalInput {}
class TerminalOutput {}
class ResolveAddressStream {}
class Descriptor {}
class TcpSocket {}
class UdpSocket {}

/** The resources have no constructor that a guest reaches; the methods are there because linking asks for them. */
const METHODS: readonly (readonly [{ prototype: object }, readonly string[]])[] = [
  [
    Descriptor,
    'readViaStream writeViaStream appendViaStream getFlags getType stat statAt openAt read write readDirectory sync metadataHash metadataHashAt'.split(
      ' ',
    ),
  ],
  [TcpSocket, ['startBind', 'finishBind', 'startConnect', 'finishConnect', 'startListen', 'accept']],
  [UdpSocket, ['startBind', 'finishBind', 'stream']],
];
for (const [resource, names] of METHODS) {
  for (const name of names) Reflect.set(resource.prototype, name, refuse);
}

/** By interface without its version, as generated code asks for them. */
export function noWasi({ random, now, pay, write }: NoWasi): Record<string, Record<string, unknown>> {
  class OutputStream {
    readonly #name: 'stdout' | 'stderr';
    constructor(name: 'stdout' | 'stderr') {
      this.#name = name;
    }
    checkWrite(): bigint {
      return WRITE_BYTES_MAX;
    }
    write(bytes: Uint8Array): void {
      write(this.#name, bytes);
    }
    blockingWriteAndFlush(bytes: Uint8Array): void {
      write(this.#name, bytes);
    }
    flush(): void {}
    blockingFlush(): void {}
    subscribe(): Pollable {
      return new Pollable();
    }
  }
  const nowNs = BigInt(now) * NS_PER_MS;
  const bytes = (count: bigint): Uint8Array => random.bytes(Number(count));
  const word = (): bigint => random.word();
  const none = (): undefined => undefined;
  return {
    'wasi:cli/environment': { getEnvironment: () => [], getArguments: () => [], initialCwd: none },
    'wasi:cli/exit': {
      exit() {
        throw new Error('the guest ended itself');
      },
    },
    'wasi:cli/stdin': { getStdin: () => new InputStream() },
    'wasi:cli/stdout': { getStdout: () => new OutputStream('stdout') },
    'wasi:cli/stderr': { getStderr: () => new OutputStream('stderr') },
    'wasi:cli/terminal-input': { TerminalInput },
    'wasi:cli/terminal-output': { TerminalOutput },
    'wasi:cli/terminal-stdin': { getTerminalStdin: none },
    'wasi:cli/terminal-stdout': { getTerminalStdout: none },
    'wasi:cli/terminal-stderr': { getTerminalStderr: none },
    'wasi:io/error': { Error: IoError },
    'wasi:io/streams': { InputStream, OutputStream },
    'wasi:io/poll': {
      Pollable,
      poll: (list: readonly unknown[]) => {
        pay(POLLED_FUEL * list.length);
        return Uint32Array.from(list.keys());
      },
    },
    'wasi:clocks/monotonic-clock': {
      now: () => nowNs,
      resolution: () => NS_PER_MS,
      subscribeInstant: () => new Pollable(),
      subscribeDuration: () => new Pollable(),
    },
    'wasi:clocks/wall-clock': {
      now: () => ({ seconds: BigInt(Math.floor(now / 1_000)), nanoseconds: (now % 1_000) * 1_000_000 }),
      resolution: () => ({ seconds: 0n, nanoseconds: 1_000_000 }),
    },
    'wasi:filesystem/types': { Descriptor, DirectoryEntryStream, filesystemErrorCode: none },
    'wasi:filesystem/preopens': { getDirectories: () => [] },
    'wasi:random/random': { getRandomBytes: bytes, getRandomU64: word },
    'wasi:random/insecure': { getInsecureRandomBytes: bytes, getInsecureRandomU64: word },
    'wasi:random/insecure-seed': { insecureSeed: () => [word(), word()] },
    'wasi:sockets/network': { Network },
    'wasi:sockets/instance-network': { instanceNetwork: () => new Network() },
    'wasi:sockets/tcp': { TcpSocket },
    'wasi:sockets/udp': { UdpSocket },
    'wasi:sockets/tcp-create-socket': { createTcpSocket: refuse },
    'wasi:sockets/udp-create-socket': { createUdpSocket: refuse },
    'wasi:sockets/ip-name-lookup': { resolveAddresses: refuse, ResolveAddressStream },
  };
}
