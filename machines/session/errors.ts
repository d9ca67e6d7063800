import { errorKinds } from '#schemas/fabric-error';

export const sessionErrors = errorKinds({
  unknown_session: {
    retryable: false,
    help: 'Nobody registered a session of this id: `infrafabric session list` shows those that are there.',
  },
});
