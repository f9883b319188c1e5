/**
 * What clients want to hear from an upstream. One of the legacy era is told when it changes, and again after each handshake; one
 * of the modern era hears of URIs and tasks in the filter of a stream, and of levels with each request.
 */
import type { LogLevel } from '../../protocol/ports.js';

/** Kinds of what a stream can be asked to tell of by its name. */
export const URI = 'uri:';
export const TASK = 'task:';
/** One resource, or one task. */
export type Topic = `${typeof URI | typeof TASK}${string}`;

export function topicOf(kind: typeof URI | typeof TASK, name: string): Topic {
  return `${kind}${name}`;
}

export function nameOf(topic: Topic): string {
  return topic.slice(topic.indexOf(':') + 1);
}

export interface InterestDeps {
  readonly modern: () => boolean;
  /** Whether the upstream takes a log level. */
  readonly hasLogging: () => boolean;
  /** A request whose answer changes nothing here. */
  readonly tell: (method: string, params: object) => void;
  /** The URIs or the tasks are other ones. */
  readonly changed: () => void;
}

export class Interest {
  readonly #deps: InterestDeps;
  readonly #uris = new Set<string>();
  readonly #tasks = new Set<string>();
  #level: LogLevel | undefined;

  constructor(deps: InterestDeps) {
    this.#deps = deps;
  }

  /** A subscription that the upstream granted. */
  keep(uri: string): void {
    if (this.#uris.has(uri)) return;
    this.#uris.add(uri);
    this.#deps.changed();
  }

  get topics(): readonly Topic[] {
    return [
      ...[...this.#uris].map((uri) => topicOf(URI, uri)),
      ...[...this.#tasks].map((id) => topicOf(TASK, id)),
    ];
  }

  get tasks(): Iterable<string> {
    return this.#tasks;
  }

  get uris(): Iterable<string> {
    return this.#uris;
  }

  has(uri: string): boolean {
    return this.#uris.has(uri);
  }

  drop(uri: string, tell: boolean): void {
    if (!this.#uris.delete(uri)) return;
    if (tell && !this.#deps.modern()) this.#deps.tell('resources/unsubscribe', { uri });
    this.#deps.changed();
  }

  keepTask(id: string): void {
    if (this.#tasks.has(id)) return;
    this.#tasks.add(id);
    this.#deps.changed();
  }

  dropTask(id: string): void {
    if (this.#tasks.delete(id)) this.#deps.changed();
  }

  setLevel(level: LogLevel | undefined): void {
    if (level === this.#level) return;
    this.#level = level;
    if (level !== undefined && this.#takesLevel()) this.#deps.tell('logging/setLevel', { level });
  }

  /** What a new session of the upstream has to be told. */
  wanted(): readonly (readonly [method: string, params: object])[] {
    if (this.#deps.modern()) return [];
    const wanted: [string, object][] = [...this.#uris].map((uri) => ['resources/subscribe', { uri }]);
    if (this.#level !== undefined && this.#takesLevel())
      wanted.push(['logging/setLevel', { level: this.#level }]);
    return wanted;
  }

  #takesLevel(): boolean {
    return !this.#deps.modern() && this.#deps.hasLogging();
  }
}
