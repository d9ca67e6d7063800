import { errorKinds } from '#schemas/fabric-error';

export const busErrors = errorKinds({
  bad_subject: {
    retryable: false,
    help: 'Address an actor as <type>.<id> in the last two tokens; a "." of the id is written %2E. See docs/subjects.md.',
  },
  bad_body: { retryable: false, help: 'Send JSON, or msgpack with Content-Type: application/msgpack.' },
  bad_commit: {
    retryable: false,
    help: 'The log holds a message that is no commit: stop the realm and restore it from a backup.',
  },
  server_missing: {
    retryable: false,
    help: 'Install nats-server 2.12 or newer on PATH, or set NATS_URL to a running one; `npm start` fetches one by itself.',
  },
  bad_batch: {
    retryable: false,
    help: 'See docs/subjects.md for what a batch of asks holds; a client of yours may always send its asks one by one.',
  },
  sender_unreadable: {
    retryable: false,
    help: 'Write headers as NATS clients do: each line ends in CRLF, and an empty one after the last ends them.',
  },
  ask_too_big: {
    retryable: false,
    help: 'A node had to pass it on to the owner of its shard: send a smaller body, or ask the shard itself, as the client does.',
  },
  reply_too_big: {
    retryable: false,
    help: 'It was done, and is in the log. Let the machine answer with less, or raise max_payload of the NATS server.',
  },
  not_handed_on: {
    retryable: true,
    help: 'The shard is moving between nodes; retry with the same message id.',
  },
  object_corrupt: {
    retryable: false,
    help: 'The disk under the NATS server, or somebody, changed a stored object: restore it from a backup.',
  },
  server_too_old: { retryable: false, help: 'Use nats-server 2.12 or newer.' },
  server_failed: {
    retryable: true,
    help: 'The lines above are the last that the server wrote; `infrafabric doctor` checks the rest.',
  },
  server_unreachable: { retryable: true, help: 'Check the URL, the token and that the server runs.' },
  jetstream_missing: {
    retryable: false,
    help: 'Start nats-server with JetStream (-js, or a jetstream block in its config).',
  },
  jetstream_unready: {
    retryable: true,
    help: 'Wait until the servers of the cluster have chosen their leaders; `infrafabric doctor` shows how they are.',
  },
  data_locked: {
    retryable: false,
    help: 'Stop the other owner with `infrafabric down`, or choose another data folder.',
  },
  stream_drift: {
    retryable: false,
    help: 'Set the field back, or move the realm to a new data folder; the fabric does not change a stream it did not make so.',
  },
  shards_changed: {
    retryable: false,
    help: 'Set shards: to what the realm has; `infrafabric reshard` gives a stopped realm another number.',
  },
  replicas_refused: {
    retryable: true,
    help: 'So many copies need as many JetStream servers that are there: start them, or set nats.replicas lower; `infrafabric cluster status` shows them.',
  },
  not_clustered: {
    retryable: false,
    help: 'Join the servers to a cluster first: docs/cluster.md shows how, `npm run cluster` runs one on this machine.',
  },
  bus_server_unknown: {
    retryable: false,
    help: 'Name a server as `infrafabric cluster status` shows it.',
  },
  cluster_slow: {
    retryable: true,
    help: 'It goes on by itself: `infrafabric cluster status` shows how far it is.',
  },
  storage_refused: {
    retryable: true,
    help: 'Free disk space, raise the limits of the server or the account, or lower limits.inboxBytesMax and limits.deadBytesMax.',
  },
});
