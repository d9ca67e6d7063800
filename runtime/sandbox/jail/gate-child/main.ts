/**
 * The process that lets one component in: it reads the component's bytes, answers with what the gate made of them or
 * with its refusal, and is ended.
 */
import { registerHooks } from 'node:module';
import { toWireError } from '#schemas/fabric-error';
import { exit } from '../child/exit.ts';
import { FRAME, toNumber, toText } from '../child/frames.ts';
import { receive, send } from '../child/wire.ts';

// The code generator was made for a system with files and threads: it gets one without.
const EMPTY_WASI = import.meta.url.replace(/main(?=\.[jt]s$)/, 'empty-wasi');
registerHooks({
  resolve: (specifier, context, next) =>
    specifier.startsWith('@bytecodealliance/preview2-shim/')
      ? { url: EMPTY_WASI, shortCircuit: true }
      : next(specifier, context),
});
const { gateComponent } = await import('../../gate/gate.ts');
const { $init } = await import('@bytecodealliance/jco-transpile/component');
await $init;

send(FRAME.ready, []);
const [component] = receive()?.fields ?? [];
if (component === undefined) exit(0); // the parent is gone
try {
  const { glue, cores, imports, exports, stats } = await gateComponent(component);
  send(FRAME.gated, [
    toText(glue),
    toText(JSON.stringify({ imports, exports, stats })),
    ...cores.flatMap(({ name, bytes, memoryPages }) => [toText(name), bytes, toNumber(memoryPages)]),
  ]);
} catch (thrown) {
  const { code, message, details } = toWireError(thrown);
  send(FRAME.refused, [toText(code), toText(message), toText(JSON.stringify(details ?? {}))]);
}
receive(); // it is ended here
