/** What we use of the WebAssembly JavaScript interface: the types of Node name little of it. */
declare namespace WebAssembly {
  function compile(bytes: Uint8Array<ArrayBuffer>): Promise<Module>;
  function validate(bytes: Uint8Array<ArrayBuffer>): boolean;

  type Imports = Record<string, Record<string, unknown>>;

  interface Module {
    readonly [Symbol.toStringTag]: string;
  }
  var Module: {
    new (bytes: Uint8Array<ArrayBuffer>): Module;
    imports(module: Module): { module: string; name: string; kind: string }[];
  };

  interface Instance {
    readonly exports: Readonly<Record<string, unknown>>;
  }
  var Instance: { new (module: Module, imports?: Imports): Instance };

  interface Memory {
    readonly buffer: ArrayBuffer;
    grow(pages: number): number;
  }
  var Memory: { new (type: { initial: number; maximum?: number }): Memory };

  interface Table {
    grow(elements: number): number;
  }

  interface Global<T> {
    value: T;
  }
  var Global: {
    new (type: { value: 'i32'; mutable?: boolean }, value: number): Global<number>;
    new (type: { value: 'i64'; mutable?: boolean }, value: bigint): Global<bigint>;
  };

  interface RuntimeError extends Error {}
  var RuntimeError: { new (message?: string): RuntimeError };
}
