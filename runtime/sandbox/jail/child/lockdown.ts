/**
 * Takes away what generated code has no use for. The layers around the process hold without this; it makes the way to
 * them longer.
 */

/** What linking a component needs besides the language itself. */
const NEEDED = new Set(['globalThis', 'WebAssembly', 'TextEncoder', 'TextDecoder']);

/** ECMAScript's own, less those that read a clock, wait, or make code from text. */
const LANGUAGE = new Set(
  `Object Function Array Number parseFloat parseInt Infinity NaN undefined Boolean String Symbol Promise RegExp Error
  AggregateError EvalError RangeError ReferenceError SyntaxError TypeError URIError JSON Math Intl ArrayBuffer Uint8Array
  Int8Array Uint16Array Int16Array Uint32Array Int32Array Float32Array Float64Array Uint8ClampedArray BigUint64Array
  BigInt64Array DataView Map BigInt Set WeakMap WeakSet WeakRef Proxy Reflect FinalizationRegistry decodeURI
  decodeURIComponent encodeURI encodeURIComponent escape unescape isFinite isNaN Iterator`.split(/\s+/),
);

export function lockDown(): void {
  for (const name of Reflect.ownKeys(globalThis)) {
    if (typeof name === 'string' && (NEEDED.has(name) || LANGUAGE.has(name))) continue;
    Reflect.deleteProperty(globalThis, name);
  }
  // Guests agree on no random numbers but theirs.
  Reflect.deleteProperty(Math, 'random');
}
