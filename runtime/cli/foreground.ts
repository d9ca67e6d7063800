/** Runs a node in this process and shows what lives until it ends. */
import type { Builtins } from './builtins.ts';
import type { Plan } from './commands/up.ts';
import { EXIT, type ExitCode } from './exit-codes.ts';
import type { Io, Out } from './io.ts';
import type { LiveView } from './live-view.ts';
import { locate, mannerOf, readRun } from './locate.ts';
import { type LogLevel, logger, logLevel } from './logger.ts';
import type { NodePlace } from './place.ts';
import { plural, span } from './render/format.ts';
import { palette, wantsColour } from './render/palette.ts';
import { welcomeLines } from './render/welcome.ts';
import { treeSettled } from './tree-settled.ts';

export interface Foreground {
  readonly plan: Plan;
  readonly join: string | undefined;
  readonly place: NodePlace;
  readonly io: Io;
  readonly out: Out;
  readonly builtins: () => Promise<Builtins>;
}

/** Resolves once the node has stopped: by Ctrl-C, by `down`, or by a fault, which is thrown. */
export async function runForeground({ plan, join, place, io, out, builtins }: Foreground): Promise<ExitCode> {
  const { startNode } = await import('#runtime/node/start');
  const startedAt = Date.now();
  let view: LiveView | undefined;
  // On paper a start is its result; what came and was recovered on the way is for who asks for it.
  let quiet: LogLevel = out.json ? 'info' : 'warn';
  const log = logger({
    level: () => logLevel(io.env['INFRAFABRIC_LOG'], quiet),
    json: out.json,
    palette: palette(wantsColour(io.env, io.stderr)),
    write: (line) => (view === undefined ? void io.stderr.write(`${line}\n`) : view.remark(line)),
    now: Date.now,
  });
  const { config, spec, baseDir, dataDir } = plan;
  const { good, strong, faint, warn } = out.palette;
  const interrupted = Promise.withResolvers<void>();
  const interrupt = (): void => {
    // At once, also while the node still starts: nobody should wonder whether it was heard.
    out.lines([faint('Stopping; Ctrl-C again ends it at once …')]);
    interrupted.resolve();
  };
  if (io.signal.aborted) interrupt();
  else io.signal.addEventListener('abort', interrupt, { once: true });
  await using node = await startNode({
    config,
    spec,
    baseDir,
    dataDir,
    builtins,
    ...(plan.file !== undefined && { configFile: plan.file }),
    log,
    ...(join !== undefined && { join }),
    place,
    signal: io.signal,
  });
  const ended = Promise.race([node.stopped, interrupted.promise]);
  // Its doors are open: what looks at it is loaded only now, and only where something looks.
  const hasTree = spec.children.length > 0;
  const { LiveView: View } = await import('./live-view.ts');
  view = await View.open(io, out);
  const looks = (hasTree || out.live) && readRun(dataDir) !== undefined;
  await using realm = looks ? await openedRealm() : undefined;
  if (realm !== undefined && hasTree) {
    const settled = treeSettled(realm);
    // Stopped meanwhile, nobody waits for it any more.
    settled.catch(() => undefined);
    await Promise.race([settled, ended]);
  }
  if (!io.signal.aborted) {
    out.data({ event: 'up', ...node.status(), dataDir });
    out.lines(upLines());
    if (!out.live) quiet = 'info';
    view.show(node, realm);
  }
  try {
    await ended;
  } finally {
    view.stop();
  }
  await node.stop();
  out.data({ event: 'down', nodeId: node.id });
  out.lines([`${good('✓')} ${strong(config.realm)} stopped; its state is kept`]);
  return EXIT.ok;

  async function openedRealm() {
    const { openRealm } = await import('./nats-realm.ts');
    return await openRealm(locate({ data: dataDir }, io));
  }

  function upLines(): string[] {
    const kinds = plural(Object.keys(config.kinds).length, 'kind');
    return [
      `${good('✓')} ${strong(config.realm)} is up in ${span(Date.now() - startedAt)}  ${faint(`${kinds} · ${plan.file ?? 'no config here: a first realm of counters'}`)}`,
      faint(`  data ${dataDir}`),
      ...(config.durability === 'relaxed'
        ? [warn('  relaxed durability: a power cut may lose acknowledged work; for development only')]
        : []),
      '',
      ...welcomeLines(spec, config.kinds, out.palette, mannerOf(plan, io)),
      '',
    ];
  }
}
