/** Instances, aliases and canonical functions of a component. */
import { gateErrors } from '../errors.ts';
import { componentName, coreName } from '../names.ts';
import type { Reader } from '../reader.ts';
import { readAlias, readCoreSort, readSort } from './aliases.ts';
import { readExternName } from './extern-types.ts';

const INSTANCES_MAX = 1_000;
const ARGUMENTS_MAX = 1_000;
const ALIASES_MAX = 10_000;
const CANONS_MAX = 10_000;
const OPTIONS_MAX = 10;

const Instances = { instantiate: 0, exports: 1 } as const;
/** The sort of an argument in an instantiation of a core module. */
const CORE_INSTANCE = 0x12;

const Canons = { lift: 0, lower: 1, resourceNew: 2, resourceDrop: 3, resourceRep: 4 } as const;
/** Encodings of strings have no operand; memory, realloc and post-return have one. */
const OPTION_ENCODING_LAST = 2;
const OPTION_LAST = 5;

/** Gives how many there are. */
export function readCoreInstances(content: Reader): number {
  return readEach(content, INSTANCES_MAX, 'core instances', () => {
    const { at } = content;
    const form = content.u8();
    if (form === Instances.instantiate) {
      content.u32();
      readEach(content, ARGUMENTS_MAX, 'arguments', () => coreArgument(content));
    } else if (form === Instances.exports) {
      readEach(content, ARGUMENTS_MAX, 'exports', () => {
        coreName(content);
        readCoreSort(content);
        content.u32();
      });
    } else throw content.malformed(`A core instance of form ${form}`, at);
  });
}

function coreArgument(content: Reader): void {
  coreName(content);
  const { at } = content;
  if (content.u8() !== CORE_INSTANCE) throw content.malformed('An argument that is no core instance', at);
  content.u32();
}

/** Gives how many there are. */
export function readInstances(content: Reader): number {
  return readEach(content, INSTANCES_MAX, 'instances', () => {
    const { at } = content;
    const form = content.u8();
    if (form === Instances.instantiate) {
      content.u32();
      readEach(content, ARGUMENTS_MAX, 'arguments', () => {
        componentName(content);
        readSort(content);
        content.u32();
      });
    } else if (form === Instances.exports) {
      readEach(content, ARGUMENTS_MAX, 'exports', () => {
        readExternName(content);
        readSort(content);
        content.u32();
      });
    } else throw content.malformed(`An instance of form ${form}`, at);
  });
}

export function readAliases(content: Reader): void {
  readEach(content, ALIASES_MAX, 'aliases', () => readAlias(content));
}

export function readCanons(content: Reader): void {
  readEach(content, CANONS_MAX, 'canonical functions', () => readCanon(content));
}

function readCanon(content: Reader): void {
  const { at } = content;
  const form = content.u8();
  switch (form) {
    case Canons.lift:
      zero(content);
      content.u32();
      options(content);
      content.u32();
      return;
    case Canons.lower:
      zero(content);
      content.u32();
      options(content);
      return;
    case Canons.resourceNew:
    case Canons.resourceDrop:
    case Canons.resourceRep:
      content.u32();
      return;
    default:
      throw content.refuse(
        gateErrors.component_feature,
        `The canonical function 0x${form.toString(16)} is not allowed`,
        at,
      );
  }
}

function options(content: Reader): void {
  readEach(content, OPTIONS_MAX, 'options', () => {
    const { at } = content;
    const option = content.u8();
    if (option > OPTION_LAST) {
      throw content.refuse(gateErrors.component_feature, `The option ${option} (async) is not allowed`, at);
    }
    if (option > OPTION_ENCODING_LAST) content.u32();
  });
}

function zero(content: Reader): void {
  const { at } = content;
  if (content.u8() !== 0) throw content.malformed('A canonical function of an unknown kind', at);
}

function readEach(content: Reader, max: number, things: string, read: () => void): number {
  const count = content.count(max, things);
  for (let left = count; left > 0; left -= 1) read();
  return count;
}
