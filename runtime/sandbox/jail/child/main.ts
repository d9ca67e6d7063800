/**
 * The process that runs the components of one tenant: reads an order, carries it out, answers, reads the next. It can
 * compute, and write to the pipe it was given, and nothing else.
 */
import type { WorldPort } from '../../world/world.ts';
import { exit } from './exit.ts';
import { FRAME, type Frame, fromNumber, fromText, fromWord, toNumber, toText } from './frames.ts';
import { type Component, type CoreFile, loadComponent, type Order, Run } from './guest.ts';
import { lockDown } from './lockdown.ts';
import { failureOf } from './outcome.ts';
import { openPort } from './port.ts';
import { receive, send } from './wire.ts';

/** By SHA-256, for as long as the process lives: the parent ends it when they are many. */
const components = new Map<string, Component>();

lockDown();
send(FRAME.ready, []);
for (let frame = receive(); frame !== undefined; frame = receive()) obey(frame);
exit(0);

function obey({ kind, fields }: Frame): void {
  if (kind === FRAME.load) load(fields);
  else if (kind === FRAME.run) run(fields);
  else throw new Error(`an order of kind ${kind}`);
}

/** The order to run comes right behind; its time begins when this is said. */
function load([sha256, glue, ...cores]: readonly Uint8Array[]): void {
  const files: CoreFile[] = [];
  for (let at = 0; at < cores.length; at += 3) {
    const [name, bytes, memoryPages] = cores.slice(at, at + 3);
    files.push({
      name: fromText(name),
      bytes: bytes as Uint8Array<ArrayBuffer>,
      memoryPages: fromNumber(memoryPages),
    });
  }
  try {
    components.set(fromText(sha256), loadComponent(fromText(glue), files));
    send(FRAME.loaded, []);
  } catch (thrown) {
    fail(thrown, 'link');
  }
}

function run(fields: readonly Uint8Array[]): void {
  const [sha256, input, seed, now, fuel, memoryBytes, outputBytes, logBytes] = fields;
  const component = components.get(fromText(sha256));
  if (component === undefined || input === undefined) return; // it did not load, which was said
  execute(component, openPort(fromNumber(logBytes)), {
    input,
    seed: fromWord(seed),
    now: fromNumber(now),
    fuel: fromNumber(fuel),
    memoryBytes: fromNumber(memoryBytes),
    outputBytes: fromNumber(outputBytes),
  });
}

function execute(component: Component, port: WorldPort, order: Order): void {
  const run = new Run(order);
  let phase: 'link' | 'run' = 'link';
  try {
    run.link(component, port);
    phase = 'run';
    const output = run.start();
    send(FRAME.done, [output, toNumber(run.meter.fuel), toNumber(run.meter.memoryBytes)]);
  } catch (thrown) {
    fail(thrown, phase, run);
  }
}

function fail(thrown: unknown, phase: 'link' | 'run', run?: Run): void {
  const { code, message, stack } = failureOf(thrown, phase);
  const used = [run?.meter.fuel ?? 0, run?.meter.memoryBytes ?? 0];
  send(FRAME.failed, [toText(code), toText(message), toText(stack), ...used.map(toNumber)]);
}
