/**
 * Descriptors that this process was started with and would hand on unknowingly: Node closes the low ones for its
 * children, not those behind a gap. None of them may reach a jail.
 */
import { readdirSync, readFileSync } from 'node:fs';

/** In octal, as the kernel shows it. */
const CLOSED_ON_EXEC = 0o2000000;
const STDIO_MAX = 2;

/** Empty where the system does not tell. */
export function inheritedDescriptors(): number[] {
  let names: string[];
  try {
    names = readdirSync('/proc/self/fdinfo');
  } catch {
    return [];
  }
  return names.map(Number).filter((fd) => fd > STDIO_MAX && isHandedOn(fd));
}

function isHandedOn(fd: number): boolean {
  try {
    const flags = /^flags:\s+([0-7]+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))?.[1];
    return flags !== undefined && (Number.parseInt(flags, 8) & CLOSED_ON_EXEC) === 0;
  } catch {
    return false; // it was the one that listed them
  }
}
