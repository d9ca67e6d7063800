/** Actor types and drivers that the kernel brings along: a config declares none of them. */
import { KEYRING_DRIVER, KEYRING_TYPE } from './keyring.ts';
import { WITNESS_TYPE } from './log-break.ts';
import { PRIVACY_DRIVER, REDACTION_TYPE } from './privacy.ts';
import { SUPERVISOR_TYPE } from './supervisor.ts';

/** In each of these lives what only the kernel and operators speak to. */
export const KERNEL_TYPES: readonly string[] = [SUPERVISOR_TYPE, REDACTION_TYPE, KEYRING_TYPE];

/** Machines that the kernel starts by their own name: no config has to name them. */
export const KERNEL_MACHINES: readonly string[] = [...KERNEL_TYPES, WITNESS_TYPE];

/** Each serves the machine of the kernel that it is named after. */
export const KERNEL_DRIVERS: readonly string[] = [PRIVACY_DRIVER, KEYRING_DRIVER];
