/** `${NAME}` and `${NAME:-default}` in scalars; `$${` stands for a plain `${`. */

export type Environment = Readonly<Record<string, string | undefined>>;

export interface Interpolated {
  readonly text: string;
  /** True when a variable took part: such values are never shown. */
  readonly changed: boolean;
  /** What is wrong, with its offset in the text. */
  readonly faults: readonly { readonly offset: number; readonly what: string }[];
}

const REFERENCE = /\$\$\{|\$\{([^}]*)(\}?)/g;
const NAME = /^([A-Za-z_][A-Za-z0-9_]*)(?::-([\s\S]*))?$/;

/** Replaces every reference once: what a variable holds is data and is not looked at again. */
export function interpolate(text: string, env: Environment): Interpolated {
  if (!text.includes('${')) return { text, changed: false, faults: [] };
  const faults: { offset: number; what: string }[] = [];
  let changed = false;
  const result = text.replace(
    REFERENCE,
    (whole, inner: string | undefined, close: string | undefined, offset: number) => {
      if (whole === '$${') return '${';
      const match = close === '}' ? NAME.exec(inner ?? '') : null;
      const [, name, fallback] = match ?? [];
      if (name === undefined) {
        faults.push({
          offset,
          what: `"${whole}" is not \${NAME} or \${NAME:-default}; write $\${ for a plain \${`,
        });
        return whole;
      }
      changed = true;
      const value = env[name];
      if (fallback !== undefined) return value === undefined || value === '' ? fallback : value;
      if (value !== undefined) return value;
      faults.push({
        offset,
        what: `environment variable ${name} is not set; set it or write \${${name}:-default}`,
      });
      return whole;
    },
  );
  return { text: result, changed, faults };
}

/** Reads an unquoted interpolated scalar as YAML would have: numbers, true, false and null; never a structure. */
export function scalarOf(text: string): unknown {
  if (text === 'true') return true;
  if (text === 'false') return false;
  if (text === '' || text === 'null' || text === '~') return null;
  return /^[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?$/i.test(text) ? Number(text) : text;
}
