/** H3: a process counts as ended when nothing of it runs, whoever still has its pipes. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import test from 'ava';
import { Cgroup } from '#runtime/sandbox/jail/cgroup';
import { Channel } from '#runtime/sandbox/jail/channel';
import { encodeFrame, FRAME } from '#runtime/sandbox/jail/child/frames';
import { closeLayers, openLayers } from '#runtime/sandbox/jail/layers';
import { ProcessorShare } from '#runtime/sandbox/jail/share';

test('who waits for a process that is killed does not wait for its pipes', async (t) => {
  const layers = await openLayers('any');
  if (layers.cgroups === undefined) {
    t.pass('not tried: no control groups here');
    return;
  }
  const cgroup = await Cgroup.make(layers.cgroups, 'killed', 2 ** 28);
  const ready = [...encodeFrame(FRAME.ready, [])].map((byte) => `\\${byte.toString(8)}`).join('');
  // What is started before it enters its group has the pipes, and is not ended with it.
  const script = `sleep 1000 & echo $! >&2; read -r _; printf '${ready}'; exec sleep 1000`;
  const child = spawn('/bin/sh', ['-c', script]);
  async function enter(): Promise<void> {
    await once(child, 'spawn');
    await cgroup.add(child.pid ?? 0);
    child.stdin.write('\n');
  }
  const told = Promise.withResolvers<string>();
  const channel = await Channel.open(
    { child, cgroup, share: new ProcessorShare(cgroup), entered: enter() },
    {
      frameBytesMax: () => 100,
      onFrame: () => t.fail('it said something'),
      onBroken: told.reject,
      onEnd: told.resolve,
    },
  );
  channel.kill();
  t.is(await told.promise, 'it was killed');
  process.kill(Number(channel.stderr), 'SIGKILL');
  await channel.ended;
  await closeLayers(layers);
});
