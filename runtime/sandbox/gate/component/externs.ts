/** What a component imports and exports. */
import type { Reader } from '../reader.ts';
import { readSort } from './aliases.ts';
import { Extern, type ExternKind, readExternName, readExternType } from './extern-types.ts';

export { Extern };

const IMPORTS_MAX = 1_000;
const EXPORTS_MAX = 1_000;

export interface ComponentImport {
  readonly name: string;
  readonly kind: ExternKind;
  readonly at: number;
}

export function readImports(content: Reader): readonly ComponentImport[] {
  const imports: ComponentImport[] = [];
  for (let left = content.count(IMPORTS_MAX, 'imports'); left > 0; left -= 1) {
    const { at } = content;
    const name = readExternName(content);
    imports.push({ name, kind: readExternType(content), at });
  }
  return imports;
}

export function readExports(content: Reader): readonly { readonly name: string }[] {
  const exports: { name: string }[] = [];
  for (let left = content.count(EXPORTS_MAX, 'exports'); left > 0; left -= 1) {
    const name = readExternName(content);
    readSort(content);
    content.u32();
    const { at } = content;
    const hasType = content.u8();
    if (hasType > 1) throw content.malformed('Neither there nor absent', at);
    if (hasType === 1) readExternType(content);
    exports.push({ name });
  }
  return exports;
}
