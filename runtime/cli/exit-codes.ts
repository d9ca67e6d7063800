/** What the shell sees: one number per kind of ending, listed in docs/cli.md. */
import { FabricError } from '#schemas/fabric-error';

export const EXIT = {
  ok: 0,
  failure: 1,
  usage: 2,
  notRunning: 3,
  refused: 4,
  configInvalid: 5,
  interrupted: 130,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

export const EXIT_MEANINGS: readonly (readonly [ExitCode, string])[] = [
  [EXIT.ok, 'Done.'],
  [EXIT.failure, 'Something failed; the error says what.'],
  [EXIT.usage, 'The command line makes no sense: unknown option, missing argument, bad JSON.'],
  [EXIT.notRunning, 'The realm is not running, or cannot be reached.'],
  [EXIT.refused, 'The realm answered, and refused: unknown actor, bad event, overloaded …'],
  [EXIT.configInvalid, 'The config is missing or has errors.'],
  [EXIT.interrupted, 'Interrupted by Ctrl-C before the end.'],
];

const USAGE_CODES = new Set([
  'usage',
  'bad_address',
  'bad_event_text',
  'empty_range',
  'ambiguous_realm',
  'bad_actor',
  'bad_task',
  'bad_degrade',
  'bad_zone',
  'bad_time_zone',
  'mcp_bad_session',
  'reason_missing',
]);
/** What the realm says to whoever asks it; most commands say so by themselves. */
const REFUSED_CODES = new Set([
  'unknown_kind',
  'unknown_actor',
  'unknown_approval',
  'no_registry',
  'bad_envelope',
  'unsigned',
  'api_refused',
  'list_refused',
  'policy_denied',
]);
const NOT_RUNNING_CODES = new Set([
  'not_running',
  'realm_unreachable',
  'connect_failed',
  'ask_timeout',
  'nobody_answers',
]);

/** An ending with a code of its own: the realm's refusals, where the error code alone does not tell. */
export class Refused extends Error {
  readonly error: unknown;

  constructor(error: unknown) {
    super('refused by the realm', { cause: error });
    this.error = error;
  }
}

/** The exit code of anything a command throws. */
export function exitCodeOf(thrown: unknown): ExitCode {
  if (thrown instanceof Refused) return EXIT.refused;
  if (!(thrown instanceof FabricError)) return EXIT.failure;
  if (USAGE_CODES.has(thrown.code)) return EXIT.usage;
  if (REFUSED_CODES.has(thrown.code)) return EXIT.refused;
  if (NOT_RUNNING_CODES.has(thrown.code)) return EXIT.notRunning;
  if (thrown.code === 'bad_config' || thrown.code === 'config_missing') return EXIT.configInvalid;
  return EXIT.failure;
}
