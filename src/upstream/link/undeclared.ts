/** Lists that a server has without declaring the capability: asked for once a connection, when a client asks for them. */
import { LISTS, type ListKind } from '../../protocol/lists.js';
import type { Carrier } from '../calls/calls.js';
import { asGatewayError } from './failures.js';
import type { Inventory } from './inventory.js';
import type { LinkCalls } from './link-calls.js';
import type { OwnRequests } from './own-requests.js';

/** How long the answer is waited for, in ms. */
const UNDECLARED_MS = 5000;

export interface UndeclaredDeps {
  readonly calls: LinkCalls;
  readonly own: OwnRequests;
  readonly inventory: Inventory;
  /** What calls are sent on; undefined: the link is not up. */
  readonly up: () => Carrier | undefined;
  /** Reads the lists. */
  readonly refresh: () => Promise<void>;
}

export class Undeclared {
  readonly #deps: UndeclaredDeps;
  /** Capabilities that were asked for on this connection. */
  readonly #asked = new Set<string>();

  constructor(deps: UndeclaredDeps) {
    this.#deps = deps;
  }

  /** A new connection: the server may be asked again. */
  reset(): void {
    this.#asked.clear();
  }

  /** undefined: the list is declared, or was asked for. Never rejects. */
  ask(kind: ListKind): Promise<void> | undefined {
    const carrier = this.#deps.up();
    const { capability } = LISTS[kind];
    const { peer } = this.#deps.inventory;
    // Lists of extensions exist only where they are declared (SEP-2133).
    if (!carrier || !peer || capability === undefined || this.#asked.has(capability)) return undefined;
    if (peer.capabilities[capability] !== undefined) return undefined;
    this.#asked.add(capability);
    return this.#ask(carrier, kind, capability);
  }

  async #ask(carrier: Carrier, kind: ListKind, capability: string): Promise<void> {
    const { calls, own, inventory, up, refresh } = this.#deps;
    const { log, server } = calls;
    const { method } = LISTS[kind];
    try {
      await own.open(carrier, method, undefined, { totalMs: UNDECLARED_MS }).answer;
      if (up() !== carrier || !inventory.peer) return;
      log.info(`the upstream has ${method}, which it does not declare`, { server });
      inventory.found(capability);
      await refresh();
    } catch (error) {
      log.debug(`the upstream does not declare ${method}, and has none`, {
        server,
        error: calls.shown(asGatewayError(error, server)).message,
      });
    }
  }
}
