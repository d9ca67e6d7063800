/** What agents are told without asking: changes of resources, and words about work that is theirs. */
import type { CoordinatorClient, SessionNews, TaskNews } from '../types.ts';
import { BOARD_URI, taskUri } from './resources.ts';

/** Changes of one resource within this time are one notification: a board of thousands is added at once. */
const GATHER_MS = 50;

export interface Listener {
  /** These resources have changed. */
  updated(uris: readonly string[]): void;
  /** Tasks came that were not there. */
  listChanged(): void;
  /** Something that this session should know now. */
  told(level: 'info' | 'warning', data: object): void;
}

export class News implements Disposable {
  readonly #listeners = new Set<Listener>();
  readonly #close: () => void;
  readonly #changed = new Set<string>();
  #isLonger = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(coordinator: CoordinatorClient) {
    const own = coordinator.as.slice(coordinator.as.indexOf('/') + 1);
    this.#close = coordinator.watch({ task: '*', session: own }, (news) => this.#hear(news));
  }

  listen(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  tell(level: 'info' | 'warning', data: object): void {
    for (const listener of this.#listeners) listener.told(level, data);
  }

  [Symbol.dispose](): void {
    this.#close();
    clearTimeout(this.#timer);
  }

  #hear(news: TaskNews | SessionNews): void {
    if (news.kind === 'session') {
      const { event, details } = news;
      if (event === 'session.changed') return;
      this.tell('info', { event, ...details, offered: news.session.offered });
      return;
    }
    this.#changed.add(taskUri(news.task.id)).add(BOARD_URI);
    if (news.event === 'task.added') this.#isLonger = true;
    this.#timer ??= setTimeout(() => this.#flush(), GATHER_MS);
  }

  #flush(): void {
    this.#timer = undefined;
    const uris = [...this.#changed];
    const isLonger = this.#isLonger;
    this.#changed.clear();
    this.#isLonger = false;
    for (const listener of this.#listeners) {
      if (isLonger) listener.listChanged();
      listener.updated(uris);
    }
  }
}
