/** A ledger in a realm in memory, with the real calendar. */
import { calendarDriver } from '#actors/governor/calendar-driver';
import { budget } from '#machines/budget';
import { type LedgerContext, ledger } from '#machines/ledger';
import { type Account, pathOf } from '#machines/ledger/context';
import { type TestRealm, testRealm } from '#runtime/testing/testing';
import type { LedgerActionInput, LedgerReply } from '#schemas/budget';

export const NOW = Date.parse('2026-03-28T12:00:00Z');
export const OPERATOR = 'operator/ann';
export const WORKER = 'session/ndi';

export class Books implements AsyncDisposable {
  readonly realm: TestRealm;

  private constructor(realm: TestRealm) {
    this.realm = realm;
  }

  static async open(): Promise<Books> {
    return new Books(
      await testRealm({
        machines: [ledger, budget],
        now: NOW,
        drivers: { calendar: { run: calendarDriver.run } },
      }),
    );
  }

  async say({ action, ...rest }: LedgerActionInput, from = WORKER): Promise<LedgerReply> {
    const { reply } = await this.realm.ask('ledger/main', { type: `ledger.${action}`, ...rest }, { from });
    await this.realm.idle();
    return reply as LedgerReply;
  }

  async set(
    account: string,
    more: Omit<Extract<LedgerActionInput, { action: 'set' }>, 'action' | 'account'>,
  ) {
    const reply = await this.say({ action: 'set', account, ...more }, OPERATOR);
    if (!reply.accepted) throw new Error(`${reply.code}: ${reply.reason}`);
    return reply;
  }

  reserve(id: string, account: string, micros: number, from = WORKER): Promise<LedgerReply> {
    return this.say({ action: 'reserve', id, account, amount: { micros } }, from);
  }

  commit(id: string, micros: number, from = WORKER): Promise<LedgerReply> {
    return this.say({ action: 'commit', id, amount: { micros } }, from);
  }

  async account(name: string): Promise<Account> {
    const { context } = await this.realm.actor('ledger/main');
    const [found] = pathOf(context as LedgerContext, name) ?? [];
    if (found === undefined) throw new Error(`there is no ${name}`);
    return found;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.realm[Symbol.asyncDispose]();
  }
}
