/**
 * Driver `calendar`: where days, weeks and months begin in a time zone. The table of zones is the node's; its answer goes
 * into the log, so that a replay elsewhere, with another table, ends the same periods at the same moments.
 */
import { z } from 'zod';
import type { Driver } from '#runtime/effects/driver';
import { isZone, periodEdges } from './calendar.ts';

const inputSchema = z.object({
  at: z.int(),
  wanted: z
    .array(
      z.object({
        key: z.string().max(100),
        period: z.enum(['day', 'week', 'month']),
        zone: z.string().max(64),
      }),
    )
    .max(2_000),
});

export const calendarDriver: Driver = {
  name: 'calendar',
  validate: (input) => void inputSchema.parse(input),
  run: async ({ input }) => {
    const { at, wanted } = inputSchema.parse(input);
    return {
      calendars: Object.fromEntries(
        wanted.map(({ key, period, zone }) => [
          key,
          isZone(zone)
            ? { edges: periodEdges(period, zone, at), problem: null }
            : { edges: [], problem: `this node knows no time zone ${zone}` },
        ]),
      ),
    };
  },
};
