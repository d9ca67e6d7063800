import { errorKinds } from '#schemas/fabric-error';

export const shardErrors = errorKinds({
  overloaded: {
    retryable: true,
    help: 'Retry with the same message id after a short pause; raise limits.queueMax if it lasts.',
  },
  unknown_kind: { retryable: false, help: 'Declare the actor type under kinds: in the realm config.' },
  unknown_actor: {
    retryable: false,
    help: 'Spawn it from the supervisor config, or set spawnOnMessage: true on its kind.',
  },
  actor_done: {
    retryable: false,
    help: 'The actor reached a final state; `infrafabric show` prints its output.',
  },
  actor_failed: {
    retryable: false,
    help: 'The actor failed; `infrafabric show` prints why. Its supervisor decides on a restart.',
  },
  unknown_event: { retryable: false, help: 'Send one of the event types that the machine reacts to.' },
  reserved_event: {
    retryable: false,
    help: 'Event types starting with xstate., child. and config. belong to the kernel, those with within. to actors among themselves; send an IFMessage as itself, not the event of one (if.).',
  },
  door_closed: {
    retryable: false,
    help: 'This kind takes no messages from outside; see door: in the realm config.',
  },
  bad_header: {
    retryable: false,
    help: 'Keep Nats-Msg-Id and If-From below 513 characters, traceparent below 257.',
  },
  bad_mail: {
    retryable: false,
    help: 'Only shards write mail; keep others away from <prefix>.mail.> with NATS permissions.',
  },
  bad_event: { retryable: false, help: 'Send an object with a string "type", or an IFMessage.' },
  machine_threw: {
    retryable: false,
    help: 'The state did not change. Mend the machine or the message, then `infrafabric dead retry`.',
  },
  bad_action: {
    retryable: false,
    help: 'Send to type/id, give children ids of letters, digits and . _ - :, and delays of at most 100 years.',
  },
  output_too_big: {
    retryable: false,
    help: 'Reply or send less, or put the data in the object store and send its name.',
  },
  not_encodable: { retryable: false, help: 'Keep context, events and replies plain data without cycles.' },
  batch_undone: {
    retryable: true,
    help: 'Something in the same commit could not be stored; retry with the same message id, each step is now checked.',
  },
  body_too_big: { retryable: false, help: 'Send a smaller body or raise limits.bodyBytesMax.' },
  lease_lost: {
    retryable: true,
    help: 'The node could not renew its lease in time, and another may take the shard; who asks again finds that one.',
  },
  log_refused: {
    retryable: true,
    help: 'Free disk space or raise the limits of the log stream; nothing of this message was stored.',
  },
  log_unavailable: {
    retryable: true,
    help: 'The NATS server or its disk is away; retry with the same message id.',
  },
  log_corrupt: {
    retryable: false,
    help: 'Stop the realm and restore the log from a backup; do not delete anything.',
  },
  log_unread: {
    retryable: true,
    help: 'The connection broke, or a server lagged behind, while the log was read; the shard begins again by itself.',
  },
  diverged: {
    retryable: false,
    help: 'The machine code changed under a running actor: give it a new version and a migration, or restore the old code.',
  },
  wrong_shard: {
    retryable: false,
    help: 'Ask on the short form <prefix>.ask.<type>.<id>, or compute the shard as docs/subjects.md says.',
  },
  shard_moved: { retryable: true, help: 'Another node owns the shard now; retry with the same message id.' },
  not_owner: { retryable: true, help: 'Retry: the shard is moving between nodes.' },
  blob_missing: {
    retryable: true,
    help: 'The object store lost a body: restore the bucket.',
  },
  snapshot_damaged: {
    retryable: true,
    help: 'The shard recovers without it, from its log; `infrafabric verify` tells what else is not what it was.',
  },
  duplicate_answered: {
    retryable: false,
    help: 'The message was handled before; its first answer is no longer in the log.',
  },
});
