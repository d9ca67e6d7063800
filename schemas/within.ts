/**
 * Events that actors say to one another only: from outside they are refused. An actor and whoever speaks for it have one address,
 * so this alone tells what a machine decided from what somebody says in its name.
 */
export const WITHIN = 'within.';
