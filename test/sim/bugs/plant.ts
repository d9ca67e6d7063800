/**
 * Plants a bug: the source of one module is changed as it is loaded, in this process only. No file of the kernel knows
 * of it, so no flag, variable or config can switch it on in production.
 */
import { registerHooks } from 'node:module';
import type { Bug } from './list.ts';

const root = new URL('../../../', import.meta.url).href;

/** Call before the module is loaded. Throws at its load where what is to be changed is not there exactly once. */
export function plant({ name, file, find, put }: Bug): void {
  registerHooks({
    load(url, context, nextLoad) {
      const loaded = nextLoad(url, context);
      if (url !== root + file) return loaded;
      const { source } = loaded;
      if (source === null || source === undefined) throw new Error(`Bug ${name}: ${file} has no source`);
      const text = typeof source === 'string' ? source : new TextDecoder().decode(source);
      const found = text.split(find).length - 1;
      if (found !== 1) throw new Error(`Bug ${name} is stale: its place is ${found} times in ${file}`);
      return { ...loaded, source: text.replace(find, () => put) };
    },
  });
}
