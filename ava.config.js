import { resolve } from 'node:path';

/** The dear files come first: begun last, one of them would run alone at the end, on one core. */
const LONGEST = [
  'docs/commands',
  'replay/replay',
  'sim/bugs',
  'deploy/pack',
  'archive/archive',
  'privacy/redaction',
  'cli/e2e',
  'promises/storage',
  'keys/realm',
  'coordinator/phase0-processes',
  'privacy/doors',
  'coordinator/mcp',
  'members/reshard',
  'members/processes',
  'promises/crash',
  'witness/service/realm',
  'shard/snapshots',
  'bus/ports',
  'promises/outage',
  'witness/tamper',
  'witness/service/scrubber',
  'client/batches',
  'sandbox/chassis/realm',
  'governor/overshoot',
  'promises/doors',
  'access/realm',
  'coordinator/cli',
  'access/join',
  'bus/cluster',
  'members/realm',
  'index/log-index',
  'witness/bundle',
  'webhooks/webhooks',
  'governor/policy-realm',
  'sim/simulator',
  'coordinator/secure',
];

/** Most of a small file's time is loading what it imports. For coverage V8 needs to see every function being compiled. */
const LOADING =
  process.env.NODE_V8_COVERAGE === undefined
    ? {
        environmentVariables: {
          FORCE_COLOR: '0',
          NODE_COMPILE_CACHE: resolve('node_modules/.cache/compiled'),
        },
      }
    : {
        environmentVariables: { FORCE_COLOR: '0' },
        nodeArguments: [
          '--disable-warning=ExperimentalWarning',
          `--import=${new URL('test/rig/stripped.mjs', import.meta.url).href}`,
        ],
      };

function rank(file) {
  const at = LONGEST.findIndex((name) => file.endsWith(`${name}.test.ts`));
  return at === -1 ? LONGEST.length : at;
}

export default {
  extensions: ['ts'],
  files: ['test/**/*.test.ts'],
  // Between two ends of tests, over all files. A machine that is several times slower needs no more.
  timeout: '4m',
  workerThreads: false,
  ...LOADING,
  // More than the cores of a small machine: many tests wait for servers and clocks, short ones most of all.
  concurrency: process.env.TEST_TIER === 'everyday' ? 5 : 3,
  sortTestFiles: (a, b) => rank(a) - rank(b) || (a < b ? -1 : 1),
};
