import { errorKinds } from '#schemas/fabric-error';

export const testingErrors = errorKinds({
  realm_crashed: {
    retryable: true,
    help: 'Call realm.restart() and ask again with the same id: an ask that was stored is answered, not done twice.',
  },
  no_answer: {
    retryable: true,
    help: 'Nothing moves without the clock: keep the promise, call realm.advance("1s"), then await it.',
  },
  no_realm_actor: {
    retryable: false,
    help: 'Bring the actor to life first: ask it, or realm.spawn(address).',
  },
  no_fake: {
    retryable: false,
    help: 'Say what the driver does: testRealm({ drivers: { http: async (call) => ({ status: 200 }) } }).',
  },
  not_crashed: { retryable: false, help: 'Call realm.crash() before realm.restart().' },
});
