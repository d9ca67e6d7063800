/** One more node in a secure realm, as the page on security says: a key of its own, registered where the realm is. */
import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { CliFolder, type Ended } from '../rig/cli.ts';
import { until } from '../rig/load.ts';

/** Of the project that was written, with shards for two. */
const REALM = `
realm: hello
shards: 4
limits: { shardStay: 0 }
kinds:
  counter: { machine: counter, spawnOnMessage: true, door: open }
`;

function ok(t: ExecutionContext, ended: Ended): string {
  t.is(ended.code, 0, `${ended.out}\n${ended.err}`);
  return ended.out;
}

test('a node elsewhere joins a secure realm with a registered key, takes shards, and one with a stranger’s key is out', async (t) => {
  await using folder = new CliFolder();
  const run = async (...args: string[]): Promise<string> => ok(t, await folder.run(args));
  const at = (...names: string[]): string => join(folder.path, ...names);
  await run('init', '--secure', '.');
  t.regex(readFileSync(at('realm.yaml'), 'utf8'), /^realm: hello$[\s\S]*^nats:\n {2}secure: true$/m);
  writeFileSync(at('realm.yaml'), `${REALM}nats: { secure: true }\n`);
  writeFileSync(at('second.yaml'), `${REALM}nats: { secure: true, ca: ca.pem }\n`);
  const data = at('.infrafabric/hello');
  await run('up', '--detach');
  try {
    cpSync(join(data, 'tls', 'ca.pem'), at('ca.pem'));
    const { url } = JSON.parse(readFileSync(join(data, 'run.json'), 'utf8')) as { url: string };
    const second = ['second.yaml', '--data', at('second'), '--name', 'node-2', '--join', url];
    mkdirSync(at('second'));
    const made = await run('keys', 'new', 'node/n2', '--offline', '--json', '--data', at('second'));
    const { nkey } = JSON.parse(made) as { nkey: string };
    const stranger = await folder.run(['up', '--detach', ...second]);
    t.not(stranger.code, 0, 'the realm does not know its key');

    await run('keys', 'new', 'node/n2', '--public', nkey);
    await run('up', '--detach', ...second);
    try {
      // Moves take their time.
      await until(
        async () => (await run('shards', '--json')).includes('"ownerName":"node-2"'),
        'node-2 owns',
      );
      for (let n = 0; n < 8; n += 1) t.regex(await run('ask', `counter/k${n}`, 'inc'), /"n":1/);
      t.deepEqual(
        readdirSync(at('second', 'keys')).filter((name) => name === 'realm.seed'),
        [],
        'the key of the realm stays where it is',
      );
    } finally {
      await folder.run(['down', '--data', at('second')]);
    }
  } finally {
    await folder.run(['down']);
  }
});
