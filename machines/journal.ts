/**
 * A journal: what a worker wants on record. Each note is an entry of the log, with who wrote it and when, and so a leaf
 * of the signed tree; the machine itself keeps only how many there are.
 */
import { noteSchema } from '#schemas/journal';
import { decidedMachine } from './decided.ts';

interface Journal {
  readonly status: 'open';
  readonly notes: number;
}

export const journal = {
  name: 'journal',
  version: 1,
  machine: decidedMachine<Journal>({
    id: 'journal',
    version: '1',
    statuses: ['open'],
    hears: ['journal.note'],
    drivers: [],
    context: () => ({ status: 'open', notes: 0 }),
    decide: ({ notes }, { event }) => {
      const { success, data } = noteSchema.safeParse(event);
      if (!success) {
        const reason = 'a note has a text of 1 to 4,000 characters';
        return { reply: { accepted: false, code: 'bad_action', reason } };
      }
      return {
        patch: { notes: notes + 1 },
        reply: { accepted: true, notes: notes + 1 },
        tell: [data],
        log: { severity: data.severity, message: data },
      };
    },
  }),
};
