/** How a run of a guest ends, told from what was thrown. The parent knows these codes and no others. */

export const OUTCOMES = [
  'task_fuel_exceeded',
  'task_memory_exceeded',
  'task_output_exceeded',
  'task_logs_exceeded',
  'task_stack_exceeded',
  'task_trapped',
  'task_failed',
  'task_unlinked',
] as const;

export interface Failure {
  readonly code: (typeof OUTCOMES)[number];
  readonly message: string;
  readonly stack: string;
}

/** What a message and a stack may have: they are read by people. */
const MESSAGE_CHARS_MAX = 1_000;
const STACK_CHARS_MAX = 4_000;

/** The guest asked for something that ends its run at once. */
export class Ended extends Error {
  readonly code: Failure['code'];
  constructor(code: Failure['code'], message: string) {
    super(message);
    this.code = code;
  }
}

export function failureOf(thrown: unknown, phase: 'link' | 'run'): Failure {
  const message = cut(thrown instanceof Error ? thrown.message : String(thrown), MESSAGE_CHARS_MAX);
  const stack = cut(thrown instanceof Error ? guestFrames(thrown.stack) : '', STACK_CHARS_MAX);
  return { code: codeOf(thrown, phase), message, stack };
}

function codeOf(thrown: unknown, phase: 'link' | 'run'): Failure['code'] {
  if (thrown instanceof Ended) return thrown.code;
  if (thrown instanceof RangeError) {
    if (/call stack/i.test(thrown.message)) return 'task_stack_exceeded';
    if (/memory|allocat|array buffer/i.test(thrown.message)) return 'task_memory_exceeded';
  }
  return phase === 'link' && !(thrown instanceof WebAssembly.RuntimeError) ? 'task_unlinked' : 'task_trapped';
}

/** The lines of WebAssembly: names and offsets in the guest. Our own code is of no use to its author. */
function guestFrames(stack = ''): string {
  return stack
    .split('\n')
    .filter((line) => line.includes('wasm'))
    .join('\n');
}

function cut(text: string, charsMax: number): string {
  return text.slice(0, charsMax).toWellFormed();
}
