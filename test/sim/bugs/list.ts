/** Bugs that break one promise each, to show that the simulator sees it. */

export interface Bug {
  readonly name: string;
  /** What it breaks, in words. */
  readonly breaks: string;
  /** Which module, from the root. */
  readonly file: string;
  /** Text that is there exactly once, and what it becomes. */
  readonly find: string;
  readonly put: string;
  /** Shows in one of hundreds of schedules: `--bugs` looks for it, the tests do not wait for it. */
  readonly isRare?: boolean;
}

export const BUGS: readonly Bug[] = [
  {
    name: 'fence_off',
    breaks: 'the log takes an append whatever stands before it',
    file: 'test/sim/server.ts',
    find: '(log.at(-1)?.seq ?? 0) !== expectedSeq',
    put: 'expectedSeq < 0',
  },
  {
    name: 'no_epoch_record',
    breaks: 'a lease alone makes an owner: nothing in the log fences the one before',
    file: 'runtime/shard/epoch.ts',
    find: 'const epoch = state.epoch + 1;',
    put: 'const epoch = state.epoch + 1;\n    if (head !== undefined) return { seq: head.seq, epoch: state.epoch };',
    isRare: true,
  },
  {
    name: 'lease_token_stale',
    breaks: 'every lease has the same fencing token',
    file: 'runtime/claims/lease.ts',
    find: 'this.token = revision;',
    put: 'this.token = 1;',
  },
  {
    name: 'lease_of_another',
    breaks: 'a lease that another holds is taken for granted',
    file: 'runtime/claims/lease.ts',
    find: 'revision = await store.create(key, value, ttlMs);',
    put: 'revision = (await store.create(key, value, ttlMs)) ?? (await store.get(key))?.revision;',
  },
  {
    name: 'inbox_off_by_one',
    breaks: 'recovery begins to read the inbox at the last message consumed, not behind it',
    file: 'runtime/shard/shard.ts',
    find: 'this.#deps.inbox.open(state.consumed, ',
    put: 'this.#deps.inbox.open(state.consumed - 1, ',
  },
  {
    name: 'inbox_skips_one',
    breaks: 'recovery begins to read the inbox one message too late',
    file: 'runtime/shard/shard.ts',
    find: 'this.#deps.inbox.open(state.consumed, ',
    put: 'this.#deps.inbox.open(state.consumed + 1, ',
  },
  {
    name: 'inbox_released_early',
    breaks: 'the inbox lets go of what is delivered, before it is in the log',
    file: 'runtime/shard/snapshotter.ts',
    find: '.release(this.#state.consumed)',
    put: '.release(this.#state.consumed + 1)',
  },
  {
    name: 'consumed_too_far',
    breaks: 'a commit says that a message is consumed which is left for the next one',
    file: 'runtime/shard/shard.ts',
    find: '      if (draft.bytes > batchBytesMax) break;\n      if (!stepItem(context, item)) break;\n',
    put: '      if (draft.bytes > batchBytesMax) {\n        if (item.kind === "inbox") consumed = item.message.seq;\n        break;\n      }\n      if (!stepItem(context, item)) break;\n',
  },
  {
    name: 'mail_mark_off_by_one',
    breaks: 'mail of another shard is known by the item before it: the first of a bundle is taken twice',
    file: 'runtime/shard/step-item.ts',
    find: 'next.n <= taken.n',
    put: 'next.n < taken.n',
  },
  {
    name: 'mail_gap_taken',
    breaks: 'mail is taken though the mail before it is missing',
    file: 'runtime/shard/step-item.ts',
    find: 'index === mark.index || (index > mark.index && prev === mark.index)',
    put: 'index >= mark.index',
    isRare: true,
  },
  {
    name: 'reply_before_commit',
    breaks: 'an ask is answered before its commit is stored',
    file: 'runtime/shard/shard.ts',
    find: "        this.#probe('before_commit');\n",
    put: "        for (const { item, entry } of staged.answers) this.#doors.answer(item, entry, staged.sealed.commit, this.#state.seq);\n        this.#probe('before_commit');\n",
  },
  {
    name: 'mail_before_commit',
    breaks: 'mail leaves before its commit is stored',
    file: 'runtime/shard/shard.ts',
    find: "        this.#probe('before_commit');\n",
    put: "        this.#mailer.add(parcelsOf(staged.sealed.commit, this.#state.shardOf, (target) => this.#state.sent.get(target) ?? -1));\n        this.#probe('before_commit');\n",
  },
  {
    name: 'mail_not_resent',
    breaks: 'mail that was on its way when its node died is forgotten',
    file: 'runtime/shard/shard.ts',
    find: '    this.#mailer.add(restored.parcels);\n    this.#effects',
    put: '    this.#effects',
  },
  {
    name: 'mail_failure_forgotten',
    breaks: 'mail behind one that could not be stored is taken for stored',
    file: 'runtime/shard/mailer.ts',
    find: 'parcels.splice(0, failedAt < 0 ? sending.length : failedAt);',
    put: 'parcels.splice(0, sending.length);',
  },
  {
    name: 'acted_too_far',
    breaks: 'a commit says that mail is stored which is still on its way',
    file: 'runtime/shard/mailer.ts',
    find: 'through = first.index - 1;',
    put: 'through = first.index;',
    isRare: true,
  },
  {
    name: 'timer_twice',
    breaks: 'a timer fires once more',
    file: 'runtime/shard/lifecycle.ts',
    find: '      dropTimer(state, cell, timer);\n      state.actors.touch',
    put: "      dropTimer(state, cell, timer);\n      if (!('again' in timer)) {\n        const again = { ...timer, again: true };\n        cell.timers = (cell.timers ?? new Map()).set(timer.id, again);\n        state.timers.add(again);\n      }\n      state.actors.touch",
  },
  {
    name: 'timer_early',
    breaks: 'a timer fires up to 20 ms before it is due',
    file: 'runtime/shard/shard.ts',
    find: 'this.#state.timers.takeDue(now)',
    put: 'this.#state.timers.takeDue(now + 20)',
  },
  {
    name: 'timer_lost',
    breaks: 'timers of a snapshot are not set again at recovery',
    file: 'runtime/shard/hydrate.ts',
    find: 'for (const timer of cell.timers?.values() ?? []) state.timers.add(timer);',
    put: '',
  },
  {
    name: 'snapshot_ahead',
    breaks: 'a snapshot holds what a commit still under way has stepped',
    file: 'runtime/shard/shard.ts',
    find: "        this.#probe('before_commit');\n",
    put: "        this.#snapshotter?.committed(staged.draft.entries.length, this.#mailer, undefined);\n        this.#probe('before_commit');\n",
  },
  {
    name: 'passivated_too_early',
    breaks: 'an actor leaves memory though its last commit is in no snapshot',
    file: 'runtime/shard/passivate.ts',
    find: 'return cell.location !== NOWHERE && isIdle(cell);',
    put: 'return cell.location !== NOWHERE;',
  },
  {
    name: 'stopped_comes_back',
    breaks:
      'an actor that was stopped, begun anew and stopped is not hidden from the snapshot that holds its first life',
    file: 'runtime/shard/table.ts',
    find: '    this.#slots.set(cell.address, cell);\n',
    put: '    this.#slots.set(cell.address, cell);\n    this.removed.delete(cell.address);\n',
  },
  {
    name: 'child_unheard',
    breaks: 'a recovery takes the start of a child from the place of its mail, not from the log',
    file: 'runtime/shard/recover.ts',
    find: '  keepIncarnations(state, commit);\n',
    put: '',
  },
  {
    name: 'dedupe_forgets',
    breaks: 'message ids are not remembered at recovery',
    file: 'runtime/shard/recover.ts',
    find: '  rememberIds(state, commit, stored.seq);\n  return parcels;',
    put: '  return parcels;',
  },
  {
    name: 'dedupe_off_in_flight',
    breaks: 'a retry of a message that is being committed is stepped again',
    file: 'runtime/shard/doors.ts',
    find: 'if (key !== undefined) this.#inflight.set(key, item);\n    this.#push(item);',
    put: 'this.#push(item);',
  },
  {
    name: 'unclear_is_stored',
    breaks: 'an append without an answer is taken for stored',
    file: 'runtime/shard/append.ts',
    find: "      if (result.kind === 'appended' ||",
    put: "      if (result.kind === 'unclear') return { kind: 'appended', seq: expectedSeq + 1 };\n      if (result.kind === 'appended' ||",
  },
  {
    name: 'unclear_is_appended_again',
    breaks: 'an append without an answer is done again behind whatever stands last',
    file: 'runtime/shard/append.ts',
    find: '      if (last !== undefined && last.seq !== expectedSeq) {',
    put: "      if (result.kind === 'unclear') expectedSeq = last?.seq ?? 0;\n      else if (last !== undefined && last.seq !== expectedSeq) {",
  },
  {
    name: 'effect_not_resumed',
    breaks: 'effects without a result are not started again at recovery',
    file: 'runtime/shard/shard.ts',
    find: '    for (const effect of state.effects.values()) this.#effects.start(effect);\n',
    put: '',
  },
  {
    name: 'effect_key_new',
    breaks: 'an effect that is started again has another key',
    file: 'runtime/effects/runner.ts',
    find: '      key: effect.key,\n      actor: effect.actor,',
    put: '      key: flight.attempt > 1 ? effect.key + "." + flight.attempt : effect.key,\n      actor: effect.actor,',
  },
  {
    name: 'effect_result_twice',
    breaks: 'the result of an effect counts though the effect has one already',
    file: 'runtime/shard/carry.ts',
    find: '  state.effects.delete(key);\n  cell?.effects?.delete(key);',
    put: '  cell?.effects?.delete(key);',
  },
  {
    name: 'order_of_a_cut_batch',
    breaks: 'what did not fit into a commit comes behind what came after it',
    file: 'runtime/shard/shard.ts',
    find: 'if (taken < batch.length) this.#queue.unshift(batch.slice(taken));',
    put: 'if (taken < batch.length) for (const item of batch.slice(taken)) this.#queue.push(item);',
  },
  {
    name: 'local_mail_lost',
    breaks: 'mail inside the shard that waited for its step is forgotten at recovery',
    file: 'runtime/shard/shard.ts',
    find: "    for (const local of state.localMail.values()) this.#queue.push({ kind: 'mail', local });\n",
    put: '',
  },
  {
    name: 'dead_letter_dropped',
    breaks: 'a refused send leaves no letter',
    file: 'runtime/shard/mailer.ts',
    find: "if (entry.op === 'dead' && isDeadLettered(entry)) {",
    put: "if (entry.op === 'dead' && entry.cause.kind === 'mail') {",
  },
];
