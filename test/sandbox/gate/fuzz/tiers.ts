/** Ways to hold V8 to one of its compilers, and how many of the modules each is given: the last one takes its time. */
export const TIERS = [
  { name: 'default', execArgv: [], every: 1 },
  { name: 'liftoff', execArgv: ['--liftoff-only'], every: 1 },
  { name: 'turbofan', execArgv: ['--no-liftoff'], every: 10 },
] as const;
