// Counts the words of its input. An exception becomes the error of the run.
import { write } from 'infrafabric:task/log@0.1.0';

export function run(input) {
  write('info', 'counting');
  const text = new TextDecoder().decode(input);
  const words = text.split(/\s+/).filter((word) => word !== '').length;
  return new TextEncoder().encode(String(words));
}
