/**
 * A process that was taken over: code of the attacker's with all of Node's modules. Each attempt returns what it
 * reached, or throws. It is asked by frames as a task, or by an argument where Node's own permissions are off.
 */
import { execFileSync, fork, spawnSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { lookup } from 'node:dns/promises';
import * as fs from 'node:fs';
import * as inspector from 'node:inspector';
import { connect, createServer } from 'node:net';
import * as os from 'node:os';
import { argv, dlopen, env, execPath, kill, pid, ppid, report } from 'node:process';
import { writeHeapSnapshot } from 'node:v8';
import { WASI } from 'node:wasi';
import { Worker } from 'node:worker_threads';
import { FRAME, fromText, toNumber, toText } from '../../../../runtime/sandbox/jail/child/frames.ts';
import { receive, send } from '../../../../runtime/sandbox/jail/child/wire.ts';

const settled = <T>(start: (done: (value: T) => void, failed: (error: Error) => void) => void): Promise<T> =>
  new Promise(start);

const dial = (options: { host: string; port: number } | { path: string }): Promise<string> =>
  settled((done, failed) =>
    connect(options as { path: string }, () => done('connected')).on('error', failed),
  );

const written = (path: string): string => {
  fs.writeFileSync(path, 'was here');
  return `wrote ${path}`;
};

const ATTEMPTS: Readonly<Record<string, () => string | Promise<string>>> = {
  'read /etc/passwd': () => fs.readFileSync('/etc/passwd', 'utf8').slice(0, 20),
  'read the environment of the node': () => fs.readFileSync(`/proc/${ppid}/environ`, 'utf8').slice(0, 20),
  'read its own memory map': () => fs.readFileSync('/proc/self/maps', 'utf8').slice(0, 20),
  'write its own memory': () => written('/proc/self/mem'),
  'list the home of root': () => fs.readdirSync('/root').join() || 'a listing',
  'read a key of the realm': () => fs.readFileSync('.infrafabric/keys', 'utf8').slice(0, 20),
  'read by a path that climbs': () => fs.readFileSync('/jail/../../../../etc/shadow', 'utf8').slice(0, 20),
  'read by a link of its own': () => {
    fs.symlinkSync('/etc/passwd', '/jail/link');
    return fs.readFileSync('/jail/link', 'utf8').slice(0, 20);
  },
  'write to /tmp': () => written('/tmp/jail-was-here'),
  'write beside its program': () => written(new URL('./was-here', import.meta.url).pathname),
  'write at the root': () => written('/was-here'),
  'make a device': () => fs.readFileSync('/dev/mem').toString().slice(0, 20),
  'leave by chroot and open files': () => fs.readdirSync('/proc/1/root').join(),
  'change a cgroup': () => written('/sys/fs/cgroup/memory/memory.limit_in_bytes'),
  'dial a TCP port of the machine': () => dial({ host: '127.0.0.1', port: 4222 }),
  'dial the metadata service': () => dial({ host: '169.254.169.254', port: 80 }),
  'dial a Unix socket': () => dial({ path: '/run/docker.sock' }),
  'listen on a port': () =>
    settled((done, failed) =>
      createServer()
        .on('error', failed)
        .listen(0, '127.0.0.1', () => done('listening')),
    ),
  'send a datagram': () =>
    settled((done, failed) =>
      createSocket('udp4')
        .on('error', failed)
        .send('x', 53, '127.0.0.1', (error) => (error === null ? done('sent') : failed(error))),
    ),
  'ask for a name': async () => (await lookup('example.com')).address,
  'fetch a page': async () => String((await fetch('http://127.0.0.1:4222/')).status),
  'list the network': () => {
    const others = Object.keys(os.networkInterfaces()).filter((name) => name !== 'lo');
    if (others.length === 0) throw new Error('none but its own');
    return others.join();
  },
  'start a shell': () => execFileSync('/bin/sh', ['-c', 'id']).toString(),
  'start itself again': () => {
    const { status, error } = spawnSync(execPath, ['-p', '1']);
    if (error !== undefined) throw error;
    return `status ${status}`;
  },
  'fork a child': () =>
    settled((done, failed) =>
      fork('/jail/x.js')
        .on('error', failed)
        .on('spawn', () => done('forked')),
    ),
  'replace itself': () => {
    (process as unknown as { execve(file: string, args: string[], env: object): void }).execve(
      '/bin/sh',
      ['sh', '-c', 'id'],
      {},
    );
    return 'replaced';
  },
  'start a worker that may more': () =>
    settled((done, failed) =>
      new Worker(
        "require('node:worker_threads').parentPort.postMessage(require('node:fs').readFileSync('/etc/passwd', 'utf8'))",
        {
          eval: true,
        },
      )
        .on('error', failed)
        .on('message', done),
    ),
  'signal the node': () => `sent ${kill(ppid, 0)}`,
  'signal the first process': () => `sent ${kill(1, 'SIGKILL')}`,
  'signal everybody': () => `sent ${kill(-1, 'SIGKILL')}`,
  'stop itself so that nobody can': () => `sent ${kill(pid, 'SIGSTOP')}`,
  'become root': () => {
    process.setuid?.(0);
    return 'root';
  },
  'raise its priority': () => {
    os.setPriority(-20);
    return 'raised';
  },
  'read the environment it was given': () => {
    const names = Object.keys(env).filter((name) => name !== 'PWD');
    if (names.length === 0) throw new Error('none');
    return names.join();
  },
  'open the inspector': () => {
    inspector.open(0, '127.0.0.1');
    const url = inspector.url();
    if (url === undefined) throw new Error('no port');
    return url;
  },
  'load an addon': () => {
    dlopen({ exports: {} }, '/lib/x86_64-linux-gnu/libm.so.6');
    return 'loaded';
  },
  'use WASI': () => {
    const wasi = new WASI({ version: 'preview1', preopens: { '/': '/' } });
    return `a WASI with files: ${typeof wasi.wasiImport}, ${fs.readdirSync('/etc').length}`;
  },
  'write a report': () => {
    const file = report.writeReport('/tmp/jail-report.json');
    if (file === '') throw new Error('no file');
    return file;
  },
  'write a heap snapshot': () => writeHeapSnapshot('/tmp/jail.heapsnapshot'),
  'see other processes': () => {
    const others = fs.readdirSync('/proc').filter((name) => /^\d+$/.test(name));
    return `${others.length} processes`;
  },
  'fill a file system': () => {
    for (const folder of ['/', '/tmp', '/dev/shm', '/jail']) {
      try {
        return written(`${folder}/full`);
      } catch {
        // The next one may let it.
      }
    }
    throw new Error('nowhere to write');
  },
};

async function outcome(name: string): Promise<string> {
  try {
    const attempt = ATTEMPTS[name];
    return attempt === undefined ? 'REACHED nothing: no such attempt' : `REACHED ${await attempt()}`;
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    return `refused: ${code ?? message}`;
  }
}

const [, , asked] = argv;
if (asked === '--list') fs.writeSync(1, JSON.stringify(Object.keys(ATTEMPTS)));
else if (asked === undefined) await serve();
else {
  fs.writeSync(1, await outcome(asked));
  process.exit(0);
}

async function serve(): Promise<void> {
  send(FRAME.ready, []);
  for (let frame = receive(); frame !== undefined; frame = receive()) {
    if (frame.kind === FRAME.load) send(FRAME.loaded, []);
    if (frame.kind !== FRAME.run) continue;
    const said = await outcome(fromText(frame.fields[1]));
    send(FRAME.done, [toText(said), toNumber(0), toNumber(0)]);
  }
}
