/**
 * Driver `match`: finds a task for a session that waits for one, and sessions that can help with a task. It waits with
 * the session until there is something; sessions are found at once, or not.
 */
import { z } from 'zod';
import type { Driver, DriverRealm } from '#runtime/effects/driver';
import { FabricError } from '#schemas/fabric-error';
import { coordinatorErrors } from './errors.ts';
import { gangOf } from './gang.ts';
import { needOf, sessionsFor } from './matching.ts';
import { TaskIndex } from './task-index.ts';
import { WaitingRoom } from './waiting.ts';

const names = z.array(z.string().max(240)).max(1_000);

const inputSchema = z.discriminatedUnion('want', [
  z.object({
    want: z.literal('task'),
    session: z.string().max(200),
    capabilities: names,
    fillersOnly: z.boolean(),
    declined: names.default([]),
  }),
  z.object({
    want: z.literal('sessions'),
    task: z.string().max(200),
    requires: names,
    except: names,
    max: z.int().min(1).max(100),
  }),
]);

interface Office {
  readonly index: TaskIndex;
  readonly room: WaitingRoom;
}

export function matchDriver(): Driver {
  let realm: DriverRealm | undefined;
  let office: Office | undefined;

  /** On the first need: a realm without tasks follows none. */
  function opened(): Office {
    if (office !== undefined) return office;
    if (realm === undefined) {
      throw new FabricError(coordinatorErrors.match_unopened, 'This node follows no tasks');
    }
    const { nc, subjects, logger, clock } = realm;
    let room: WaitingRoom | undefined;
    const index = new TaskIndex(nc, subjects, logger, (task) => room?.changed(task));
    room = new WaitingRoom(index.tasks, clock, index);
    office = { index, room };
    return office;
  }

  return {
    name: 'match',
    waits: true,
    validate: (input) => void inputSchema.parse(input),
    async open(given) {
      realm = given;
      return {
        async [Symbol.asyncDispose]() {
          office?.room.close();
          await office?.index[Symbol.asyncDispose]();
        },
      };
    },
    async run({ input, signal }) {
      const wanted = inputSchema.parse(input);
      const { index, room } = opened();
      await index.ready();
      if (wanted.want === 'task') {
        const { session: id, capabilities, fillersOnly, declined } = wanted;
        return await room.wait({ id, capabilities, fillersOnly, declined: new Set(declined) }, signal);
      }
      const { task, requires, except, max } = wanted;
      const view = index.tasks.get(task);
      if (view?.governed === true) {
        const need = { ...needOf(view), requires };
        return { sessions: gangOf(need, index, new Set(except), realm?.clock.now() ?? 0) };
      }
      return { sessions: sessionsFor(requires, index.sessions.values(), new Set(except)).slice(0, max) };
    },
  };
}
