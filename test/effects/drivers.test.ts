import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import test, { type ExecutionContext } from 'ava';
import type { EffectCall } from '#runtime/effects/driver';
import { type HttpOutput, httpDriver, parseRetryAfter } from '#runtime/effects/http';
import { isPrivateAddress } from '#runtime/effects/http-guard';
import { type ProcessOutput, processDriver } from '#runtime/effects/process';
import { FabricError } from '#schemas/fabric-error';

const idle = new AbortController().signal;

/** How an input names a variable of the node. */
const env = (name: string): string => `\${env:${name}}`;

function call(input: unknown, more: Partial<EffectCall> = {}): EffectCall {
  return { key: '0.7.1', actor: 'task/t1', input, attempt: 1, signal: idle, ...more };
}

async function serve(t: ExecutionContext, handler: (req: IncomingMessage, res: ServerResponse) => void) {
  const server = createServer(handler).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { host, url: `http://${host}` };
}

async function refusal(t: ExecutionContext, work: Promise<unknown>): Promise<FabricError> {
  const error = await t.throwsAsync(work, { instanceOf: FabricError });
  if (error === undefined) throw new Error('it did not throw');
  return error;
}

test('H1: a host that is not listed is refused with the line to add', async (t) => {
  const driver = httpDriver({ allowHosts: ['other.example', '*.example.org'] });
  const error = await refusal(t, driver.run(call({ url: 'http://127.0.0.1:9/x' })));
  t.is(error.code, 'http_host_refused');
  t.like(error.details, { add: 'drivers: {http: {allowHosts: [127.0.0.1:9]}}' });
  for (const url of ['http://example.org/', 'http://evilexample.org/', 'http://other.example.evil.test/']) {
    t.is((await refusal(t, driver.run(call({ url })))).code, 'http_host_refused', url);
  }
  for (const url of ['file:///etc/passwd', 'http://a:b@other.example/', 'nonsense']) {
    t.is((await refusal(t, driver.run(call({ url })))).code, 'effect_bad_input', url);
  }
});

test('H3: a request carries its key, its trace and its body; the answer comes back as data', async (t) => {
  const { url, host } = await serve(t, (req, res) => {
    const { 'idempotency-key': key, traceparent } = req.headers;
    req.on('data', (chunk) => {
      res
        .setHeader('content-type', 'application/json')
        .end(JSON.stringify({ key, traceparent, got: String(chunk) }));
    });
  });
  const driver = httpDriver({ allowHosts: [host] });
  const output = (await driver.run(
    call({ url, method: 'post', json: { n: 1 } }, { trace: '00-ab-cd-01' }),
  )) as HttpOutput;
  t.is(output.status, 200);
  t.deepEqual(output.json, { key: '0.7.1', traceparent: '00-ab-cd-01', got: '{"n":1}' });
});

test('H1, H2: a redirect is checked like the first address, and secrets do not follow it to another origin', async (t) => {
  Object.assign(process.env, { EFFECTS_TEST_TOKEN: 's3cret' });
  const seen: IncomingMessage['headers'][] = [];
  const target = await serve(t, (req, res) => {
    seen.push(req.headers);
    res.end('ok');
  });
  const { url, host } = await serve(t, (req, res) => {
    seen.push(req.headers);
    res.writeHead(302, { location: req.url === '/loop' ? '/loop' : target.url }).end();
  });
  const headers = { 'x-api': `Bearer ${env('EFFECTS_TEST_TOKEN')}`, cookie: 'a=1', 'x-plain': 'kept' };
  const closed = httpDriver({ allowHosts: [host], allowEnv: ['EFFECTS_TEST_TOKEN'] });
  t.is((await refusal(t, closed.run(call({ url, headers })))).code, 'http_host_refused');
  t.is(seen.length, 1, 'nothing reached the second host');
  t.is((await refusal(t, closed.run(call({ url: `${url}/loop` })))).code, 'http_redirects');

  seen.length = 0;
  const open = httpDriver({ allowHosts: [host, target.host], allowEnv: ['EFFECTS_TEST_TOKEN'] });
  t.like(await open.run(call({ url, headers })), { status: 200, body: 'ok', url: `${target.url}/` });
  t.is(seen[0]?.['x-api'], 'Bearer s3cret');
  t.is(seen[1]?.['x-api'], undefined);
  t.is(seen[1]?.cookie, undefined);
  t.is(seen[1]?.['x-plain'], 'kept');
});

test('H2: a variable that is not granted is refused, and no error shows a secret', async (t) => {
  Object.assign(process.env, { EFFECTS_TEST_BAD: 'bad\nvalue' });
  const headers = { 'x-api': env('EFFECTS_TEST_BAD') };
  const url = 'http://127.0.0.1:9/';
  t.is((await refusal(t, httpDriver().run(call({ url, headers })))).code, 'env_refused');
  const driver = httpDriver({ allowEnv: ['EFFECTS_TEST_BAD', 'EFFECTS_TEST_NONE'] });
  const error = await refusal(t, driver.run(call({ url, headers })));
  t.is(error.code, 'effect_bad_input');
  t.false(JSON.stringify(error.toWire()).includes('value'));
  const none = driver.run(call({ url, headers: { a: env('EFFECTS_TEST_NONE') } }));
  t.is((await refusal(t, none)).code, 'env_missing');
});

test('H4: 4xx is an outcome; 429, 5xx and a dead host are tried again', async (t) => {
  const { url, host } = await serve(t, (req, res) => {
    res.writeHead(Number.parseInt(req.url?.slice(1) ?? '', 10), { 'retry-after': '2' }).end('text');
  });
  const driver = httpDriver({ allowHosts: [host, '127.0.0.1:1'] });
  for (const status of [200, 400, 404, 409]) {
    t.like(await driver.run(call({ url: `${url}/${status}` })), { status, body: 'text' });
  }
  for (const status of [408, 425, 429, 500, 503]) {
    const error = await refusal(t, driver.run(call({ url: `${url}/${status}?token=x` })));
    t.like(error.toWire(), {
      code: 'http_status',
      retryable: true,
      details: { status, retryAfterMs: 2_000 },
    });
    t.false(JSON.stringify(error.toWire()).includes('token'));
  }
  t.like(await refusal(t, driver.run(call({ url: 'http://127.0.0.1:1/' }))), {
    code: 'http_network',
    retryable: true,
  });
  t.is(parseRetryAfter('soon'), undefined);
  t.is(parseRetryAfter('Thu, 01 Jan 1970 00:00:00 GMT'), 0);
});

test('a body beyond its bound is not read to its end, and a silent server is given up', async (t) => {
  let sent = 0;
  const { url, host } = await serve(t, (req, res) => {
    if (req.url === '/silent') return;
    const more = (): void => {
      while (!res.destroyed && sent < 100_000_000) {
        sent += 65_536;
        if (!res.write(Buffer.alloc(65_536))) return void res.once('drain', more);
      }
    };
    more();
  });
  const driver = httpDriver({ allowHosts: [host], bodyBytesMax: 100_000 });
  t.is((await refusal(t, driver.run(call({ url })))).code, 'http_body_too_big');
  t.true(sent < 50_000_000, `${sent}`);
  await t.throwsAsync(driver.run(call({ url: `${url}/silent` }, { signal: AbortSignal.timeout(50) })));
});

test('private addresses are known in every spelling, and a name that leads to one is refused', async (t) => {
  for (const a of [
    '127.0.0.1',
    '10.1.2.3',
    '169.254.169.254',
    '::1',
    'fe80::1',
    'fd00::1',
    '::ffff:10.0.0.1',
    '0.0.0.0',
  ]) {
    t.true(isPrivateAddress(a), a);
  }
  for (const a of ['8.8.8.8', '172.32.0.1', '2606:4700::1111']) t.false(isPrivateAddress(a), a);
  const error = await refusal(
    t,
    httpDriver({ allowHosts: ['*.localhost'] }).run(call({ url: 'http://a.localhost/' })),
  );
  t.true(['http_private_address', 'http_network'].includes(error.code), error.code);
});

const running = (pid: number): boolean => {
  try {
    // A killed child of nobody may stay a zombie where nothing reaps it.
    return !/^Z/.test(execFileSync('ps', ['-o', 'stat=', '-p', String(pid)], { encoding: 'utf8' }).trim());
  } catch {
    return false;
  }
};

async function gone(pid: number): Promise<boolean> {
  for (let i = 0; i < 100 && running(pid); i++) await new Promise((resolve) => setTimeout(resolve, 20));
  return !running(pid);
}

test('X1: only listed programs run, and arguments are not for a shell', async (t) => {
  const driver = processDriver({ allow: ['echo', 'no-such-program-here', './echo'] });
  const error = await refusal(t, driver.run(call({ command: 'sh', args: ['-c', 'true'] })));
  t.is(error.code, 'process_refused');
  t.like(error.details, { add: 'drivers: {process: {allow: [sh]}}' });
  t.like(await driver.run(call({ command: 'echo', args: ['$HOME; ls', '`id`'] })), {
    code: 0,
    stdout: '$HOME; ls `id`\n',
    stderr: '',
  });
  for (const command of ['no-such-program-here', './echo']) {
    t.is((await refusal(t, driver.run(call({ command })))).code, 'process_not_started');
  }
  const noFolder = driver.run(call({ command: 'echo', cwd: '/no/such/folder' }));
  t.is((await refusal(t, noFolder)).code, 'process_not_started');
});

test('X2: the child sees its key and what was granted, nothing else', async (t) => {
  Object.assign(process.env, { EFFECTS_TEST_TOKEN: 's3cret' });
  const driver = processDriver({ allow: ['env'], allowEnv: ['EFFECTS_TEST_TOKEN'] });
  const given = { TOKEN: env('EFFECTS_TEST_TOKEN'), INFRAFABRIC_EFFECT_KEY: 'forged' };
  const { stdout } = (await driver.run(call({ command: 'env', env: given }))) as ProcessOutput;
  // Node itself hands its coverage folder to every child, whatever environment it is given.
  const seen = stdout
    .trim()
    .split('\n')
    .filter((line) => !line.startsWith('NODE_V8_COVERAGE='));
  t.deepEqual(seen.sort(), ['INFRAFABRIC_EFFECT_KEY=0.7.1', 'TOKEN=s3cret']);
  t.is((await refusal(t, driver.run(call({ command: 'env', env: { A: env('HOME') } })))).code, 'env_refused');
});

test('a process gets its input, and its code, signal and bounded output come back (X3)', async (t) => {
  const driver = processDriver({ allow: ['cat', 'sh', 'true'], outputBytesMax: 1_000 });
  t.like(await driver.run(call({ command: 'cat', stdin: 'hello' })), { code: 0, stdout: 'hello' });
  t.like(await driver.run(call({ command: 'sh', args: ['-c', 'echo no >&2; exit 3'] })), {
    code: 3,
    stderr: 'no\n',
  });
  t.like(await driver.run(call({ command: 'sh', args: ['-c', 'kill -9 $$'] })), {
    code: null,
    signal: 'SIGKILL',
  });
  const big = (await driver.run(call({ command: 'cat', stdin: 'x'.repeat(1_000_000) }))) as ProcessOutput;
  t.is(big.stdout.length, 1_000);
  t.true(big.truncated);
  t.like(await driver.run(call({ command: 'true', stdin: 'x'.repeat(1_000_000) })), { code: 0 });
  const noText = Uint8Array.from({ length: 900 }, () => 0xff);
  const binary = (await driver.run(call({ command: 'cat', stdin: noText }))) as ProcessOutput;
  t.true(Buffer.byteLength(binary.stdout) <= 1_000);
  t.true(binary.truncated);
});

test('X4: at the time limit the whole group ends, also where SIGTERM is ignored', async (t) => {
  const driver = processDriver({ allow: ['sh'], termGraceMs: 100 });
  for (const trap of ['', 'trap "" TERM;']) {
    const signal = AbortSignal.timeout(150);
    const marker = `30${Math.floor(Math.random() * 1e6)}`;
    const script = `${trap} sleep ${marker} & sleep ${marker}`;
    await t.throwsAsync(driver.run(call({ command: 'sh', args: ['-c', script] }, { signal })));
    t.is(
      execFileSync('ps', ['-eo', 'stat=,args='], { encoding: 'utf8' }).match(
        new RegExp(`^[^Z].* sleep ${marker}`, 'm'),
      ),
      null,
    );
  }
});

test('G1: what a program left running ends with it', async (t) => {
  const driver = processDriver({ allow: ['sh'] });
  const { stdout } = (await driver.run(
    call({ command: 'sh', args: ['-c', 'sleep 300 & echo $!'] }),
  )) as ProcessOutput;
  t.true(await gone(Number(stdout)));
});

test('a folder that is not there is named, and not the program', async (t) => {
  const driver = processDriver({ allow: ['true'] });
  const error = await refusal(t, driver.run(call({ command: 'true', cwd: '/no-such-folder' })));
  t.is(error.code, 'process_not_started');
  t.regex(error.message, /no folder \/no-such-folder/);
});

test('X5: a run is over when its program is, whatever has left the group with its output', async (t) => {
  const driver = processDriver({ allow: ['sh'] });
  // The shell ends once it has a session of its own.
  const script = 'setsid sleep 300 & until [ "$(ps -o sid= -p $!)" -eq $! ]; do :; done; echo $!';
  const { stdout } = (await driver.run(call({ command: 'sh', args: ['-c', script] }))) as ProcessOutput;
  t.true(running(Number(stdout)));
  process.kill(Number(stdout), 'SIGKILL');
});

test('G2: a node ended by SIGKILL takes its processes with it', async (t) => {
  const script = `
    import { startGroup } from '#runtime/effects/process-group';
    const { child } = startGroup('/bin/sleep', ['300'], { cwd: undefined, env: {} });
    process.stdout.write(String(child.pid));
    setInterval(() => {}, 1000);`;
  const node = spawn(process.execPath, ['--input-type=module', '-e', script], { cwd: process.cwd() });
  const [pid] = (await once(node.stdout, 'data')) as [Buffer];
  t.true(running(Number(pid)));
  node.kill('SIGKILL');
  t.true(await gone(Number(pid)));
});
