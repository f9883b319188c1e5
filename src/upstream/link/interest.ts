/**
 * What clients want to be notified of by a server: resources, tasks, log messages. A legacy server is asked when that changes, and again
 * after each handshake. A modern server is asked for resources and tasks by the filter of a stream, and for log levels in each request.
 */
import type { LinkInterest, LogLevel } from '../../protocol/ports.js';
import type { Carrier } from '../calls/calls.js';
import { TASK, topicOf, URI, type Topic } from '../listen/topics.js';
import { asGatewayError, disconnected, wasLost } from './failures.js';
import type { Inventory } from './inventory.js';
import type { LinkCalls } from './link-calls.js';
import { Losses, OpeningLost } from './losses.js';
import type { OwnRequests } from './own-requests.js';

/** The stream of notifications of a modern server. */
export interface TopicStream {
  /** Resolves once the server has granted `topic`. Rejects with a GatewayError if it does not. */
  granted(topic: Topic): Promise<void>;
  /** The topics changed. */
  update(): void;
}

export interface InterestDeps {
  readonly calls: LinkCalls;
  readonly own: OwnRequests;
  readonly inventory: Inventory;
  /** What calls are sent on; undefined: the link is not up. */
  readonly up: () => Carrier | undefined;
  readonly stream: () => TopicStream;
}

export class Interest implements LinkInterest {
  readonly #deps: InterestDeps;
  readonly #uris = new Set<string>();
  readonly #tasks = new Set<string>();
  readonly #losses = new Losses();
  #level: LogLevel | undefined;
  /** The interest in the link that replaced this one at a reload: late requests are handed to it. */
  #successor: Interest | undefined;

  constructor(deps: InterestDeps) {
    this.#deps = deps;
  }

  get topics(): readonly Topic[] {
    return [
      ...[...this.#uris].map((uri) => topicOf(URI, uri)),
      ...[...this.#tasks].map((id) => topicOf(TASK, id)),
    ];
  }

  async subscribe(uri: string): Promise<void> {
    if (this.#successor) return this.#successor.subscribe(uri);
    const { calls, own, up } = this.#deps;
    const carrier = up();
    if (!carrier) throw disconnected(calls.server);
    if (!this.#isModern) {
      await own.request(carrier, 'resources/subscribe', JSON.stringify({ uri }));
      this.#keep(uri);
      return;
    }
    const had = this.#uris.has(uri);
    this.#keep(uri);
    try {
      await this.#deps.stream().granted(topicOf(URI, uri));
    } catch (error) {
      if (!had) this.#drop(uri, false);
      throw error;
    }
  }

  keepSubscribed(uri: string): void {
    if (this.#successor) this.#successor.#takeOver(uri);
    else this.#keep(uri);
  }

  isSubscribed(uri: string): boolean {
    return this.#successor ? this.#successor.isSubscribed(uri) : this.#uris.has(uri);
  }

  unsubscribe(uri: string, tell: boolean): void {
    this.#successor?.unsubscribe(uri, tell);
    this.#drop(uri, tell);
  }

  async watchTask(id: string): Promise<void> {
    if (this.#successor) return this.#successor.watchTask(id);
    if (!this.#deps.up()) throw disconnected(this.#deps.calls.server);
    // A legacy server cannot be asked: it notifies the status of its tasks, or does not.
    if (!this.#isModern) return;
    this.#keepTask(id);
    try {
      await this.#deps.stream().granted(topicOf(TASK, id));
    } catch (error) {
      this.#dropTask(id);
      throw error;
    }
  }

  unwatchTask(id: string): void {
    this.#successor?.unwatchTask(id);
    this.#dropTask(id);
  }

  setLevel(level: LogLevel | undefined): void {
    if (level === this.#level) return;
    this.#level = level;
    if (level !== undefined && this.#takesLevel) this.#request('logging/setLevel', { level });
  }

  tell(notification: Buffer): void {
    // Each request to a modern server says what it has to know.
    if (!this.#isModern) this.#deps.up()?.transport.post(notification);
  }

  /** Takes over the interest in the link that this one replaces. */
  inherit(old: Interest): void {
    old.#successor = this;
    for (const id of old.#tasks) this.#keepTask(id);
    for (const uri of old.#uris) this.#takeOver(uri);
  }

  /**
   * Makes the requests again that a new session of a legacy server needs. Rejects if one did not reach the server, unless that was so in the
   * session before, too: it is usable all the same.
   */
  async renew(carrier: Carrier): Promise<void> {
    const { calls, own } = this.#deps;
    const count = this.#losses.begin();
    let lost: string | undefined;
    for (const [method, params] of this.#renewals()) {
      try {
        await own.request(carrier, method, JSON.stringify(params));
      } catch (error) {
        if (wasLost(error)) lost = method;
        calls.log.warn(`${method} failed after reconnecting`, {
          server: calls.server,
          error: calls.shown(asGatewayError(error, calls.server)).message,
        });
      }
    }
    if (count(lost !== undefined)) throw new OpeningLost(`upstream '${calls.server}' did not get ${lost}`);
  }

  #renewals(): (readonly [method: string, params: object])[] {
    if (this.#isModern) return [];
    const requests: [string, object][] = [...this.#uris].map((uri) => ['resources/subscribe', { uri }]);
    if (this.#level !== undefined && this.#takesLevel)
      requests.push(['logging/setLevel', { level: this.#level }]);
    return requests;
  }

  get #isModern(): boolean {
    return this.#deps.inventory.era === 'modern';
  }

  get #takesLevel(): boolean {
    return !this.#isModern && this.#deps.inventory.capabilities['logging'] !== undefined;
  }

  #keep(uri: string): void {
    if (this.#uris.has(uri)) return;
    this.#uris.add(uri);
    this.#deps.stream().update();
  }

  #drop(uri: string, tell: boolean): void {
    if (!this.#uris.delete(uri)) return;
    if (tell && !this.#isModern) this.#request('resources/unsubscribe', { uri });
    this.#deps.stream().update();
  }

  #keepTask(id: string): void {
    if (this.#tasks.has(id)) return;
    this.#tasks.add(id);
    this.#deps.stream().update();
  }

  #dropTask(id: string): void {
    if (this.#tasks.delete(id)) this.#deps.stream().update();
  }

  /** A subscription that the server granted to another link. */
  #takeOver(uri: string): void {
    if (this.#successor) return this.#successor.#takeOver(uri);
    if (this.#uris.has(uri)) return;
    this.#keep(uri);
    if (!this.#isModern) this.#request('resources/subscribe', { uri });
  }

  /** A request whose outcome is only logged. */
  #request(method: string, params: object): void {
    const { calls, own, up } = this.#deps;
    const carrier = up();
    if (!carrier) return;
    own.request(carrier, method, JSON.stringify(params)).catch((error: unknown) => {
      calls.log.debug(`${method} failed`, {
        server: calls.server,
        error: calls.shown(asGatewayError(error, calls.server)).message,
      });
    });
  }
}
