/** Guests written as WebAssembly text, made into components of the world `infrafabric:task`. */
import { readFileSync } from 'node:fs';
import { componentEmbed, componentNew, parse } from '@bytecodealliance/jco-transpile/wasm-tools';

const WORLD = readFileSync(new URL('../../runtime/sandbox/world/task.wit', import.meta.url), 'utf8');

export interface GuestText {
  /** Body of `run`: parameters `$at` and `$len`, gives the address of its result. */
  readonly run: string;
  /** Imports: they come first. */
  readonly imports?: string;
  readonly memory?: string;
  /** Further fields of the module. */
  readonly more?: string;
  /** Body of `cabi_realloc`: parameters 0 to 3, gives an address. */
  readonly realloc?: string;
}

const BUMP = `(local.set $r (i32.and (i32.add (global.get $free) (i32.const 7)) (i32.const -8)))
  (global.set $free (i32.add (local.get $r) (local.get 3)))
  (local.get $r)`;

/** `$ok` and `$err` write a result at 0 and give its address. */
export function guestText({
  run,
  imports = '',
  memory = '(memory 2)',
  more = '',
  realloc = BUMP,
}: GuestText): string {
  const result = (name: string, tag: number) => `(func $${name} (param i32 i32) (result i32)
    (i32.store8 (i32.const 0) (i32.const ${tag})) (i32.store (i32.const 4) (local.get 0))
    (i32.store (i32.const 8) (local.get 1)) (i32.const 0))`;
  return `(module ${imports}
    ${memory} (export "memory" (memory 0)) (global $free (mut i32) (i32.const 4096)) ${more}
    ${result('ok', 0)} ${result('err', 1)}
    (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (local $r i32) ${realloc})
    (func $run (export "run") (param $at i32) (param $len i32) (result i32) ${run}))`;
}

/** Bytes of the component. */
export async function guest(text: GuestText | string): Promise<Uint8Array> {
  const core = await parse(typeof text === 'string' ? text : guestText(text));
  const embedded = await componentEmbed({ witSource: WORLD, binary: core, world: 'task' });
  return await componentNew(embedded, []);
}
