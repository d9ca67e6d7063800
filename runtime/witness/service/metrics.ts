/** What the witness tells monitors: as data for the admin API, and as text in the Prometheus exposition format 0.0.4. */
import type { KnownBreak } from './state-store.ts';

/** `<prefix>.api.witness`: how the witness log stands. */
export interface WitnessStatus {
  readonly nodeId: string;
  readonly origin: string;
  /** Verifier key of the realm: what checks its checkpoints. */
  readonly key: string;
  /** Leaves in the tree as it was last signed. */
  readonly size: number;
  /** Root hash of that tree, base64. */
  readonly root: string;
  /** Sequence of the last commit whose chain was checked. */
  readonly verifiedSeq: number;
  /** Sequence of the last commit in the log. */
  readonly lastSeq: number;
  /** Commits that the signed tree does not hold yet. */
  readonly lagCommits: number;
  /** Age of the oldest of them, ms; 0 where there are none. */
  readonly lagMs: number;
  /** Checkpoints signed since this node began to build. */
  readonly checkpointsSigned: number;
  /** Cosignatures that the published checkpoint has, and how many cosigners are configured. */
  readonly cosignatures: number;
  readonly cosigners: number;
  /** Breaks found in all. */
  readonly breaks: number;
  readonly known: readonly KnownBreak[];
  /** Why nothing is signed any more. */
  readonly halted?: string;
  /** The whole log was read again so many times; the last pass has come to this sequence. */
  readonly scrubPasses: number;
  readonly scrubbedSeq: number;
  readonly http?: string;
}

/** Name, type, help, value. */
const METRICS: readonly (readonly [
  name: string,
  type: 'gauge' | 'counter',
  help: string,
  value: (status: WitnessStatus) => number,
])[] = [
  ['tree_size', 'gauge', 'Leaves in the tree of the last signed checkpoint.', (s) => s.size],
  ['log_last_seq', 'gauge', 'Sequence of the last commit in the log.', (s) => s.lastSeq],
  ['verified_seq', 'gauge', 'Sequence of the last commit whose chain was checked.', (s) => s.verifiedSeq],
  ['lag_commits', 'gauge', 'Commits that the signed tree does not hold yet.', (s) => s.lagCommits],
  ['lag_seconds', 'gauge', 'Age of the oldest commit that is not signed yet.', (s) => s.lagMs / 1_000],
  [
    'checkpoints_signed_total',
    'counter',
    'Checkpoints signed since this node began to build.',
    (s) => s.checkpointsSigned,
  ],
  ['cosignatures', 'gauge', 'Cosignatures on the published checkpoint.', (s) => s.cosignatures],
  ['cosigners', 'gauge', 'Cosigners that are asked for each checkpoint.', (s) => s.cosigners],
  ['breaks', 'gauge', 'Places where the log is not what it was.', (s) => s.breaks],
  ['halted', 'gauge', '1 where nothing is signed any more.', (s) => (s.halted === undefined ? 0 : 1)],
  ['scrub_passes_total', 'counter', 'Times the whole log was read again.', (s) => s.scrubPasses],
  ['scrubbed_seq', 'gauge', 'Sequence to which the running pass has come.', (s) => s.scrubbedSeq],
];

export const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

export function metricsText(status: WitnessStatus): string {
  const labels = `{origin="${escaped(status.origin)}"}`;
  const lines = METRICS.flatMap(([name, type, help, value]) => [
    `# HELP infrafabric_witness_${name} ${help}`,
    `# TYPE infrafabric_witness_${name} ${type}`,
    `infrafabric_witness_${name}${labels} ${value(status)}`,
  ]);
  return `${lines.join('\n')}\n`;
}

function escaped(label: string): string {
  return label.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}
