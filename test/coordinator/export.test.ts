/** E1 and E2 of actors/coordinator/export/progress-file.ts, W1 and W2 of write.ts: what is exported, an import reads. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { parse } from 'yaml';
import { EXPORT_MARK, exportFiles } from '../../actors/coordinator/export/files.ts';
import { progressFile } from '../../actors/coordinator/export/progress-file.ts';
import { writeFiles } from '../../actors/coordinator/export/write.ts';
import { planImport } from '../../actors/coordinator/import/plan.ts';
import { readFiles } from '../../actors/coordinator/import/read.ts';
import { taskView } from './views.ts';

const AT = Date.UTC(2026, 0, 31, 12);
const stream = { kind: 'workstream', changedAt: AT };
const BOARD = [
  taskView('session_1_ndi', {
    ...stream,
    owner: 'ndi',
    worker: 'session/ndi',
    status: 'completed',
    title: 'Workstream of ndi',
    deliverables: ['branch claude/ndi'],
  }),
  taskView('session_2_webrtc', {
    ...stream,
    owner: 'webrtc',
    worker: 'session/webrtc',
    status: 'claimed',
    title: 'Workstream of webrtc',
    deps: ['session_1_ndi'],
  }),
  taskView('P1', { owner: 'bus', worker: 'session/bus', status: 'completed', changedAt: AT }),
  taskView('P2', { owner: 'bus', status: 'waiting', deps: ['P3'], waitingFor: ['P3'] }),
  taskView('P3', { worker: 'session/cli', status: 'in_progress', milestone: 40, changedAt: AT }),
  taskView('P4', { title: '' }),
];

test('progress.yaml says how the work of each session stands', (t) => {
  t.deepEqual(parse(progressFile(BOARD) ?? ''), {
    sessions: {
      session_1_ndi: {
        status: 'completed',
        branch: 'claude/ndi',
        completed: '2026-01-31T12:00:00.000Z',
      },
      session_2_webrtc: {
        status: 'claimed',
        branch: null,
        completed: null,
        blocked_by: ['session_1_ndi'],
      },
      session_bus: {
        status: 'in_progress',
        branch: null,
        completed: null,
        blocked_by: ['session_cli'],
        tasks: ['P1', 'P2'],
      },
      session_cli: { status: 'in_progress', branch: null, completed: null, tasks: ['P3'] },
    },
  });
  t.is(progressFile([taskView('P4')]), undefined);
});

test('a session’s tasks are summed up: what is held counts first, then whether all have ended', (t) => {
  const summed = (...statuses: Parameters<typeof taskView>[1][]): unknown => {
    const tasks = statuses.map((more, n) => taskView(`T${n}`, { owner: 'x', ...more }));
    return (parse(progressFile(tasks) ?? '') as { sessions: { session_x: { status: string } } }).sessions
      .session_x.status;
  };
  t.is(summed({ status: 'waiting' }, { status: 'available' }), 'not_started');
  t.is(summed({ status: 'completed' }, { status: 'available' }), 'in_progress');
  t.is(summed({ status: 'blocked' }, { status: 'completed' }), 'blocked');
  t.is(summed({ status: 'blocked' }, { status: 'claimed' }), 'in_progress');
  t.is(summed({ status: 'completed' }, { status: 'cancelled' }), 'completed');
  t.is(summed({ status: 'completed' }, { status: 'failed' }), 'failed');
  t.is(summed({ status: 'cancelled' }), 'cancelled');
});

test('an import of what was exported changes nothing', (t) => {
  const files = [...exportFiles(BOARD, 'test')].map(([file, text]) => ({ file, text }));
  t.deepEqual(files.map(({ file }) => file).toSorted(), [
    'BOARD.md',
    'STATUS-BUS.yaml',
    'STATUS-CLI.yaml',
    'STATUS-NDI.yaml',
    'STATUS-WEBRTC.yaml',
    'progress.yaml',
  ]);
  const wanted = readFiles(files);
  const sessions = ['bus', 'cli', 'ndi', 'webrtc'].map((id) => ({ id, capabilities: [] }));
  const { changes } = planImport(wanted, BOARD, sessions as never);
  t.deepEqual(changes, []);
});

test('only what an export wrote is written over, and only where it differs', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'if-export-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const into = join(folder, 'a/b');
  const write = (...files: [string, string][]) => writeFiles(into, new Map(files), EXPORT_MARK);
  const [one, two] = [`${EXPORT_MARK} one`, `${EXPORT_MARK} two`];
  t.deepEqual(await write(['x', one], ['y', one]), { written: ['x', 'y'], same: [], left: [] });
  const { mtimeMs } = statSync(join(into, 'x'));
  writeFileSync(join(into, 'z'), 'of somebody else');
  t.deepEqual(await write(['x', one], ['y', two], ['z', two]), { written: ['y'], same: ['x'], left: ['z'] });
  t.is(statSync(join(into, 'x')).mtimeMs, mtimeMs);
  t.is(readFileSync(join(into, 'z'), 'utf8'), 'of somebody else');
  t.deepEqual(readdirSync(into).toSorted(), ['x', 'y', 'z'], 'no draft is left');
  const file = join(folder, 'file');
  writeFileSync(file, '');
  await t.throwsAsync(writeFiles(join(file, 'below'), new Map([['x', one]]), EXPORT_MARK), {
    code: 'export_failed',
  });
});
