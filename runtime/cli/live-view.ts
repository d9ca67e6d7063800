/** What `up` shows while a node runs: a table redrawn in place on a terminal, a line now and then elsewhere. */
import type { createLogUpdate } from 'log-update';
import type { ActorSummary, NodeStatus } from '#runtime/node/api';
import { toWireError } from '#schemas/fabric-error';
import type { Io, Out } from './io.ts';
import type { Realm } from './realm.ts';
import type { overviewLines } from './render/status.ts';
import { statusLine, totals } from './render/status-line.ts';

/** Four looks a second: alive to the eye, nothing to the node. */
const REDRAW_EVERY_MS = 250;
/** Lines in a log file are for later readers: one in half a minute, and only where something changed. */
const LINE_EVERY_MS = 30_000;
/** Actors looked at for the table; more are only counted. */
const ACTORS_LISTED_MAX = 1_000;
const ROWS_DEFAULT = 24;

interface Source {
  status(): NodeStatus;
}

/** What draws a table: a tenth of a second to load. */
interface Canvas {
  readonly draw: ReturnType<typeof createLogUpdate>;
  readonly overviewLines: typeof overviewLines;
}

export class LiveView {
  readonly #io: Io;
  readonly #out: Out;
  readonly #canvas: Canvas | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #stopped = false;
  #last = { commits: -1, at: 0, perSecond: 0 };
  #actors: readonly ActorSummary[] = [];

  private constructor(io: Io, out: Out, canvas: Canvas | undefined) {
    this.#io = io;
    this.#out = out;
    this.#canvas = canvas;
  }

  static async open(io: Io, out: Out): Promise<LiveView> {
    return new LiveView(io, out, out.live ? await canvasOn(io) : undefined);
  }

  /** A line that stays: above the table on a terminal, on stderr elsewhere. */
  remark(line: string): void {
    if (this.#canvas !== undefined && this.#timer !== undefined) this.#canvas.draw.persist(line);
    else this.#io.stderr.write(`${line}\n`);
  }

  /** Begins to show; `realm` lists the actors and is absent where only numbers can be had. */
  show(source: Source, realm: Realm | undefined): void {
    const again = (): void => {
      if (this.#stopped) return;
      const everyMs = this.#canvas === undefined ? LINE_EVERY_MS : REDRAW_EVERY_MS;
      this.#timer = setTimeout(() => {
        this.#look(source, realm).then(again, (error: unknown) => {
          this.remark(`view: ${toWireError(error).message}`);
          again();
        });
      }, everyMs);
    };
    if (this.#canvas === undefined) again();
    else this.#look(source, realm).then(again, again);
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#canvas?.draw.done();
  }

  async #look(source: Source, realm: Realm | undefined): Promise<void> {
    const status = source.status();
    const now = Date.now();
    const { commits, actors } = totals(status);
    const changed = commits !== this.#last.commits;
    if (changed && this.#last.commits >= 0) {
      const perSecond = ((commits - this.#last.commits) * 1_000) / Math.max(1, now - this.#last.at);
      this.#last = { commits, at: now, perSecond };
    } else this.#last = { commits, at: now, perSecond: 0 };
    if (this.#canvas === undefined) {
      if (changed) this.#out.lines([statusLine(status, this.#last.perSecond, now)]);
      return;
    }
    if (changed && realm !== undefined) this.#actors = await listed(realm);
    if (this.#stopped) return;
    const { columns = this.#out.width, rows = ROWS_DEFAULT } = this.#io.stdout;
    const place = { palette: this.#out.palette, width: columns, height: rows - 1 };
    const more = Math.max(0, actors - this.#actors.length);
    const overview = { status, actors: this.#actors, more, perSecond: this.#last.perSecond };
    this.#canvas.draw(this.#canvas.overviewLines(overview, now, place).join('\n'));
  }
}

async function canvasOn({ stdout }: Io): Promise<Canvas> {
  const [{ createLogUpdate }, status] = await Promise.all([
    import('log-update'),
    import('./render/status.ts'),
  ]);
  return { draw: createLogUpdate(stdout as NodeJS.WriteStream), overviewLines: status.overviewLines };
}

async function listed(realm: Realm): Promise<ActorSummary[]> {
  const found: ActorSummary[] = [];
  for await (const actor of realm.actors({})) {
    found.push(actor);
    if (found.length >= ACTORS_LISTED_MAX) break;
  }
  return found;
}
