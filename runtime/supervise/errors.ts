import { errorKinds } from '#schemas/fabric-error';

export const superviseErrors = errorKinds({
  bad_config: {
    retryable: false,
    help: 'Mend the places named as file:line:column; docs/config.md lists every key.',
  },
});
