/** A part of the audit, quick enough for every day; `npm run audit:chassis` carries out all of it. */
import { readFileSync } from 'node:fs';
import test from 'ava';
import { reportLayers } from '#runtime/sandbox/jail/layers';
import { Jail } from '#runtime/sandbox/jail/pool';
import { allAttacks, carryOut } from './audit.ts';
import { outlive } from './lives.ts';

/** The least that an audit is worth its name with. */
const ATTACKS_MIN = 60;

const DAILY = new Set([
  'an empty loop',
  'a loop in the start function',
  'recursion without an end',
  'growing page by page',
  'more output than it may',
  'a flood of calls',
  'code in the name of an export: a quote',
  'code from text, by a constructor',
  'buffers without an end',
  'what it left behind, read by the neighbour',
  'a frame of four gigabytes',
  'lengths that lie',
  'headers that are none',
  'a call in a call',
  'a flood of errors',
  'two results',
  'write beside its program',
  'dial a TCP port of the machine',
]);

const attacks = allAttacks();

test('attacks of every kind end as they should', async (t) => {
  await using jail = await Jail.open({ require: 'any' });
  for (const { name, isOn, seen } of jail.layers) if (!isOn) t.log(`without ${name}: ${seen}`);
  for (const attack of attacks.filter(({ name }) => DAILY.has(name))) {
    const { group, name, ended, isContained } = await carryOut(jail, attack);
    t.true(isContained, `${group}: ${name} ended with ${ended}`);
  }
});

test('no process of a jail outlives a node that is killed', async (t) => {
  const layers = await reportLayers();
  const isTied = layers.some(({ name, isOn }) => name === 'namespaces' && isOn);
  t.is(isTied ? await outlive() : 'gone', 'gone');
  if (!isTied) t.log('not tried: only bubblewrap ties a process to its node');
});

test('the page of the audit has every attack, and none that was not contained', (t) => {
  const page = readFileSync(new URL('../../../docs/chassis-audit.md', import.meta.url), 'utf8');
  for (const { name } of attacks) t.true(page.includes(`| ${name} |`), name);
  t.false(page.includes('**not contained**'));
  t.true(attacks.length >= ATTACKS_MIN);
});
