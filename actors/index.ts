/** What a node can run without a line of the user's code. */
import { counter } from '#machines/counter';

export const builtins = {
  machines: [counter],
  drivers: {},
};
