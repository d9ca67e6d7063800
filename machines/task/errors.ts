import { errorKinds } from '#schemas/fabric-error';

export const taskErrors = errorKinds({
  unknown_task: {
    retryable: false,
    help: 'No board added a task of this id: `infrafabric task list` shows those that are there.',
  },
});
