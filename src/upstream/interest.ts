/** What clients want to hear from an upstream: told to it when it changes, and again after each handshake. */
import type { LogLevel } from '../protocol/ports.js';

export interface InterestDeps {
  /** Whether the upstream takes a log level. */
  readonly hasLogging: () => boolean;
  /** A request whose answer changes nothing here. */
  readonly tell: (method: string, params: object) => void;
}

export class Interest {
  readonly #deps: InterestDeps;
  readonly #uris = new Set<string>();
  #level: LogLevel | undefined;

  constructor(deps: InterestDeps) {
    this.#deps = deps;
  }

  /** A subscription that the upstream granted. */
  keep(uri: string): void {
    this.#uris.add(uri);
  }

  has(uri: string): boolean {
    return this.#uris.has(uri);
  }

  drop(uri: string, tell: boolean): void {
    if (this.#uris.delete(uri) && tell) this.#deps.tell('resources/unsubscribe', { uri });
  }

  setLevel(level: LogLevel | undefined): void {
    if (level === this.#level) return;
    this.#level = level;
    if (level !== undefined && this.#deps.hasLogging()) this.#deps.tell('logging/setLevel', { level });
  }

  /** What a new session of the upstream has to be told. */
  wanted(): readonly (readonly [method: string, params: object])[] {
    const wanted: [string, object][] = [...this.#uris].map((uri) => ['resources/subscribe', { uri }]);
    if (this.#level !== undefined && this.#deps.hasLogging())
      wanted.push(['logging/setLevel', { level: this.#level }]);
    return wanted;
  }
}
