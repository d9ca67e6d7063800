import { errorKinds } from '#schemas/fabric-error';

export const machineErrors = errorKinds({
  bad_machine: {
    retryable: false,
    help: 'Change the machine as the message says; docs/machines.md tells what a machine for the kernel may do.',
  },
  unknown_machine: {
    retryable: false,
    help: 'Add the machine to the config under kinds, or correct its name or version.',
  },
  no_migration: {
    retryable: false,
    help: 'Declare `migrate` on every version between the two, or keep the actor on its old version.',
  },
  machine_module: {
    retryable: false,
    help: 'Write ./file.ts#exportName, relative to the config, and export a machine under that name.',
  },
});
