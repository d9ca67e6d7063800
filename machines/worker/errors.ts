import { errorKinds } from '#schemas/fabric-error';

export const workerErrors = errorKinds({
  unknown_worker: {
    retryable: false,
    help: 'Register it first: `infrafabric governor register NAME`; `infrafabric governor list` shows who is.',
  },
});
