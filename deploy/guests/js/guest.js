// Counts the words of its input. A text that is thrown becomes the error of the run; any other exception is a trap.
import { write } from 'infrafabric:task/log@0.1.0';

export function run(input) {
  write('info', 'counting');
  const text = new TextDecoder().decode(input);
  const words = text.split(/\s+/).filter((word) => word !== '').length;
  return new TextEncoder().encode(String(words));
}
