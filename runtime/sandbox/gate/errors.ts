/** What the gate refuses. Every refusal names the byte where it was seen. */
import { type ErrorKind, errorKinds, FabricError } from '#schemas/fabric-error';

export const gateErrors = errorKinds({
  component_malformed: {
    retryable: false,
    help: 'The file is damaged or no WebAssembly component: build it again, and look at it with `wasm-tools validate`.',
  },
  component_feature: {
    retryable: false,
    help: 'Build for plain wasm32 with SIMD, bulk memory, tail calls and reference types at most, without threads, exceptions, GC, memory64 and async.',
  },
  component_name: {
    retryable: false,
    help: 'Names of imports, exports and types are short and have no quotes, backslashes, brackets of code or characters beyond ASCII.',
  },
  component_import: {
    retryable: false,
    help: 'A guest may import interfaces of infrafabric:task, and those of WASI 0.2 that are there without doing anything.',
  },
  component_export: {
    retryable: false,
    help: 'Export `run: func(input: list<u8>) -> result<list<u8>, string>`, as the world infrafabric:task says.',
  },
  component_too_large: {
    retryable: false,
    help: 'Make the component smaller, or raise that limit of the gate.',
  },
  component_invalid: {
    retryable: false,
    help: 'The validator refused it: its message says why; build the component again with current tools.',
  },
  component_gate_spent: {
    retryable: true,
    help: 'Another component broke this gate; the next try meets a fresh one.',
  },
});

/** A refusal with its place: a byte of what was submitted, or of the core module that is named. */
export function refusal(kind: ErrorKind, what: string, offset: number, module?: string): FabricError {
  const place = module === undefined ? `at byte ${offset}` : `at byte ${offset} of ${module}`;
  return new FabricError(kind, `${what}, ${place}`, {
    details: { offset, ...(module !== undefined && { module }) },
  });
}
