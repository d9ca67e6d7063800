/** The same guest without a jail: linked and run in this process, a fresh instance a task. */
import type { GatedComponent } from '#runtime/sandbox/gate/types';
import { FUEL_IMPORT, METER_MODULE, PAGES_IMPORT } from '#runtime/sandbox/world/meter';

interface Glue {
  instantiate(
    core: (name: string) => WebAssembly.Module | undefined,
    imports: Record<string, unknown>,
    instantiate: (module: WebAssembly.Module, imports: WebAssembly.Imports) => WebAssembly.Instance,
  ): { run(input: Uint8Array): Uint8Array };
}

/** Only for guests of our own: their glue is evaluated here. */
export async function bareRun(component: GatedComponent): Promise<(input: Uint8Array) => Uint8Array> {
  const glue = Buffer.from(component.glue).toString('base64');
  const { instantiate }: Glue = await import(`data:text/javascript;base64,${glue}`);
  const cores = new Map(component.cores.map(({ name, bytes }) => [name, new WebAssembly.Module(bytes)]));
  return (input) => {
    const meter = {
      [FUEL_IMPORT]: new WebAssembly.Global({ value: 'i64', mutable: true }, 10n ** 9n),
      [PAGES_IMPORT]: new WebAssembly.Global({ value: 'i32', mutable: true }, 4_096),
    };
    const linked = instantiate(
      (name) => cores.get(name),
      {},
      (module, imports) => new WebAssembly.Instance(module, { ...imports, [METER_MODULE]: meter }),
    );
    return linked.run(input);
  };
}
