/**
 * Driver `match`: finds a task for a session that waits for one, and sessions that can help with a task. It waits with
 * the session until there is something; sessions are found at once, or not.
 */
import type { Driver, DriverRealm } from '#runtime/effects/driver';
import { FabricError } from '#schemas/fabric-error';
import { coordinatorErrors } from './errors.ts';
import { matchInputSchema } from './match-input.ts';
import type { MatchOffice } from './match-office.ts';

export function matchDriver(): Driver {
  let realm: DriverRealm | undefined;
  let office: Promise<MatchOffice> | undefined;

  /** On the first need: a realm without tasks follows none, and loads nothing for it. */
  function opened(): Promise<MatchOffice> {
    if (realm === undefined)
      throw new FabricError(coordinatorErrors.match_unopened, 'This node follows no tasks');
    if (office === undefined) {
      office = open(realm);
      // The next one tries again.
      office.catch(() => {
        office = undefined;
      });
    }
    return office;
  }

  async function open(given: DriverRealm): Promise<MatchOffice> {
    const { MatchOffice: Office } = await import('./match-office.ts');
    return new Office(given);
  }

  return {
    name: 'match',
    waits: true,
    validate: (input) => void matchInputSchema.parse(input),
    async open(given) {
      realm = given;
      return {
        async [Symbol.asyncDispose]() {
          realm = undefined;
          await (await office)?.[Symbol.asyncDispose]();
        },
      };
    },
    async run({ input, signal }) {
      const wanted = matchInputSchema.parse(input);
      return await (await opened()).answer(wanted, signal);
    },
  };
}
