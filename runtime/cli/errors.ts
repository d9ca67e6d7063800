/** What goes wrong on the command line itself. */
import { errorKinds } from '#schemas/fabric-error';

export const cliErrors = errorKinds({
  no_sign_on: {
    retryable: false,
    help: 'Name the file of your key with --nkey or INFRAFABRIC_NKEY; `infrafabric keys new operator/NAME` makes one.',
  },
  usage: { retryable: false, help: 'Add --help to see the arguments, options and examples of a command.' },
  empty_range: {
    retryable: false,
    help: 'Name sequences that are there; without --from and --to all of them are checked.',
  },
  bad_event_text: {
    retryable: false,
    help: 'Give an event type and its fields as JSON, `add \'{"by":5}\'`, or one JSON object with a "type".',
  },
  bad_line: {
    retryable: false,
    help: 'A line is one JSON object: {"performative","from","to":[…],"conversation","content"}.',
  },
  not_running: {
    retryable: true,
    help: 'Start it with `infrafabric up`, or name another data folder with --data.',
  },
  ambiguous_realm: { retryable: false, help: 'Name one with --data DIR or --config FILE.' },
  already_running: {
    retryable: false,
    help: '`infrafabric ps` shows what lives there, `infrafabric down` stops it, another --data starts a second one.',
  },
  config_missing: {
    retryable: false,
    help: 'Name one, `infrafabric up my.yaml`, or write a first one with `infrafabric init`.',
  },
  file_unreadable: { retryable: false, help: 'Check the path and its permissions.' },
  folder_in_use: { retryable: false, help: 'Choose an empty folder: nothing is ever overwritten.' },
  template_missing: { retryable: false, help: 'The installation is incomplete: install the package again.' },
  start_failed: {
    retryable: true,
    help: 'The last lines of its log stand above; `infrafabric doctor` checks the rest.',
  },
  stop_timeout: {
    retryable: true,
    help: 'It still works on something: try again, or end the process by its pid.',
  },
  drain_timeout: {
    retryable: true,
    help: 'The node goes on giving its shards away: `infrafabric shards` says where each is to go and what keeps it. `infrafabric drain` again waits on, `infrafabric undrain` lets the node keep them.',
  },
  shards_unsettled: {
    retryable: true,
    help: '`infrafabric shards` says where each is, where it is to go and what keeps it; `infrafabric nodes` which nodes are up.',
  },
  join_unknown: {
    retryable: false,
    help: 'Give the URL that `infrafabric env` prints on a node, or the data folder of a node that runs on this machine.',
  },
  letter_missing: {
    retryable: false,
    help: '`infrafabric dead list` shows the numbers of all that are kept.',
  },
  key_unknown: {
    retryable: false,
    help: '`infrafabric keys list --all` shows the keys of the realm, by owner and kid.',
  },
  unconfirmed: { retryable: false, help: 'Confirm at the prompt, or pass --yes.' },
  passphrase_missing: {
    retryable: false,
    help: 'Type it at the prompt of a terminal, or give it with --passphrase-file FILE or --passphrase-fd N.',
  },
  passphrase_differs: { retryable: false, help: 'Type the same passphrase twice.' },
  token_file_open: {
    retryable: false,
    help: 'Others on this machine may read this token: delete the file, so that a new one is made, or `chmod 600` it if none of them had a look.',
  },
  token_file_bad: {
    retryable: false,
    help: 'A token is one line of 16 to 512 printable ASCII characters: `openssl rand -base64 24`. Without the file one is made.',
  },
  no_key_folder: { retryable: false, help: 'Name the data folder of the realm with --data.' },
});
