/**
 * Names that a component may have.
 *
 * N1  Generated code has names of imports, exports, fields and cases in quotes, in comments and in templates, without
 *     escaping them: what could end any of those, or begin code in them, is refused before code is generated.
 * N2  What objects have by birth (`__proto__`) is nobody's name.
 * N3  Names that the meter uses are the meter's.
 */

import { MEMORY_EXPORT, METER_MODULE } from '../world/meter.ts';
import { gateErrors } from './errors.ts';
import type { Reader } from './reader.ts';

const CHARS_MAX = 256;
/** Compilers leave mangled names: letters, digits, and marks that mean nothing in quotes, comments and templates. */
const CORE_NAME = /^[A-Za-z0-9 _.$:/@#[\]<>|+~!?&=,-]*$/;
/** `run`, `[method]thing.do`, `infrafabric:task/log@0.1.0`. */
const COMPONENT_NAME = /^(?:\[[a-z][a-z-]*\])?[A-Za-z][A-Za-z0-9.:/@+-]*$/;
const INBORN = ['__proto__', 'constructor', 'prototype']; // N2
const OURS = [METER_MODULE, MEMORY_EXPORT]; // N3
const TAKEN = new Set([...INBORN, ...OURS]);

/** A name in a core module. */
export function coreName(reader: Reader): string {
  return allowed(reader, CORE_NAME);
}

/** A name of a component's import, export, field, case or flag. */
export function componentName(reader: Reader): string {
  return allowed(reader, COMPONENT_NAME);
}

function allowed(reader: Reader, pattern: RegExp): string {
  const { at } = reader;
  const name = reader.text();
  if (name.length <= CHARS_MAX && pattern.test(name) && !TAKEN.has(name)) return name; // N1
  const shown = JSON.stringify(name.slice(0, 40).toWellFormed());
  throw reader.refuse(gateErrors.component_name, `The name ${shown} is not allowed`, at);
}
