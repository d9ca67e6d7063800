/** Guests of the tests: small programs in WAT around one body. */

/** Texts that a guest names, at places of its memory. */
export interface Text {
  readonly at: number;
  readonly text: string;
}

/**
 * A guest with this `run`; `$ok` puts out what lies at a place. Calls of the world that give an answer leave it at a place:
 * 0 or 1, then place and length.
 */
export function guestWat(body: string, texts: readonly Text[] = []): string {
  const data = texts.map(
    ({ at, text }) => `(data (i32.const ${at}) ${JSON.stringify(text).replaceAll('\\"', '\\22')})`,
  );
  return `(module
    (import "infrafabric:task/events@0.1.0" "emit" (func $emit (param i32 i32 i32 i32 i32)))
    (import "infrafabric:task/kv@0.1.0" "get" (func $get (param i32 i32 i32)))
    (import "infrafabric:task/kv@0.1.0" "put" (func $put (param i32 i32 i32 i32 i32)))
    (import "infrafabric:task/actors@0.1.0" "ask" (func $ask (param i32 i32 i32 i32 i32)))
    (import "infrafabric:task/random@0.1.0" "word" (func $word (result i64)))
    (import "infrafabric:task/clock@0.1.0" "now" (func $now (result i64)))
    (memory (export "memory") 1)
    ${data.join('\n')}
    (global $free (mut i32) (i32.const 4096))
    (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
      (local $place i32)
      (local.set $place (i32.and (i32.add (global.get $free) (i32.const 7)) (i32.const -8)))
      (global.set $free (i32.add (local.get $place) (local.get 3)))
      (local.get $place))
    (func $ok (param $at i32) (param $length i32) (result i32)
      (i32.store (i32.const 0) (i32.const 0))
      (i32.store (i32.const 4) (local.get $at))
      (i32.store (i32.const 8) (local.get $length))
      (i32.const 0))
    (func $out (param $answer i32) (result i32)
      (call $ok (i32.load (i32.add (local.get $answer) (i32.const 4))) (i32.load (i32.add (local.get $answer) (i32.const 8)))))
    (func (export "run") (param $at i32) (param $length i32) (result i32)
      ${body}))`;
}
