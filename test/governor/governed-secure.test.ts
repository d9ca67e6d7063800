/** Keys of agents in a realm with a governor: what they may not listen to keeps them from nothing, and no key harms another. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { headers } from '@nats-io/nats-core';
import test from 'ava';
import { Packr } from 'msgpackr';
import { openCoordinator } from '#actors/coordinator/client';
import { connect } from '#runtime/client/node';
import type { RunFile } from '#runtime/node/api';
import { CliFolder } from '../rig/cli.ts';
import { isEveryday } from '../rig/tier.ts';

/** A realm with keys, on a machine that is busy with others. */
const SLOW_MS = 240_000;
const KINDS = ['board', 'session', 'registry', 'worker', 'round'];

test.skipIf(isEveryday)(
  'who may not listen to tasks learns what came of its claims, and no key deafens another',
  async (t) => {
    t.timeout(SLOW_MS);
    await using folder = new CliFolder();
    const ok = async (...args: string[]): Promise<string> => {
      const { code, out, err } = await folder.run(args);
      t.is(code, 0, `${args.join(' ')}\n${out}${err}`);
      return out;
    };
    await ok('init', '--secure');
    const open = { door: 'open', spawnOnMessage: true };
    const kinds = Object.fromEntries(KINDS.map((kind) => [kind, { machine: kind, ...open }]));
    const task = { machine: 'task', ...open, input: { governed: true } };
    // JSON is YAML.
    const config = { realm: 'hello', kinds: { ...kinds, task }, nats: { secure: true } };
    writeFileSync(join(folder.path, 'realm.yaml'), JSON.stringify(config));
    await ok('up', '--detach');
    for (const name of ['ann', 'mal']) await ok('keys', 'new', `session/${name}`);
    await ok('governor', 'register', 'ann', '--capabilities', 'code:go');
    for (const id of ['G1', 'G2']) await ok('task', 'add', id, 'x', '--requires', 'code:go');

    const data = join(folder.path, '.infrafabric/hello');
    const run = JSON.parse(readFileSync(join(data, 'run.json'), 'utf8')) as RunFile;
    const of = (name: string) =>
      connect({
        url: run.url,
        prefix: run.prefix,
        from: `session/${name}`,
        signOn: readFileSync(join(data, 'keys', `session%${name}.seed`)),
        ca: readFileSync(run.secure?.ca ?? '', 'utf8'),
      });
    await using mal = await of('mal');
    await using client = await of('ann');
    await using ann = openCoordinator(client);
    await ann.registerSession();

    // An answer in another encoding, sent to where ann hears of her claims.
    const asked = headers();
    asked.set('Content-Type', 'application/msgpack');
    asked.set('Nats-Msg-Id', 'mal.1');
    const body = new Packr({ useRecords: false }).pack({ type: 'session.get' });
    const reply = `${run.prefix}.ev.session.ann.session.claim_ended`;
    for (const subject of ['session.mal', 'session.ann'])
      mal.connection.publish(`${run.prefix}.ask.${subject}`, body, { reply, headers: asked });
    mal.connection.publish(`${run.prefix}.api.status`, '', { reply });
    // Answered behind them.
    await mal.ask('session/mal', { type: 'session.register' });
    t.true(await ann.heartbeat());

    const first = await ann.claim('G1');
    t.true(first.won, 'the governor permits it');
    t.like(await ann.claim('G2'), { won: false, code: 'not_eligible' }, 'one at a time');
    t.true((await ann.complete('G1')).accepted);
    const round = await ann.openRound('r1');
    t.is(round.status, 'open');
    t.is((await ann.decideRound('r1')).status, 'decided');
    await ok('down');
  },
);
