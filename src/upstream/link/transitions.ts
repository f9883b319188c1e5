/** What the parts of a link do when it goes up or down, drains or closes. */
import type { ServerConfig } from '../../config/types.js';
import { GatewayError } from '../../errors.js';
import type { Logger } from '../../observe/log.js';
import type { ListKind } from '../../protocol/lists.js';
import type { Link, LinkAdmin, LinkEvents, Peer } from '../../protocol/ports.js';
import type { Carrier } from '../calls/calls.js';
import type { Listen } from '../listen/listen.js';
import type { Dialled } from './dialled.js';
import type { EraWatch } from './era-watch.js';
import { disconnected } from './failures.js';
import type { Interest } from './interest.js';
import type { Inventory } from './inventory.js';
import type { Lifecycle, LifecycleEvents } from './lifecycle.js';
import type { LinkCalls } from './link-calls.js';
import type { ListGrace } from './list-grace.js';
import { LISTEN_FIRST_MS, type ListRefresh } from './list-refresh.js';
import type { OwnRequests } from './own-requests.js';
import type { Undeclared } from './undeclared.js';

export interface TransitionParts {
  readonly calls: LinkCalls;
  readonly own: OwnRequests;
  readonly inventory: Inventory;
  readonly lists: ListRefresh;
  readonly undeclared: Undeclared;
  readonly grace: ListGrace;
  readonly era: EraWatch;
  readonly interest: Interest;
  readonly listen: Listen;
}

export interface TransitionsDeps {
  readonly link: Link & LinkAdmin<ServerConfig>;
  readonly log: Logger;
  readonly events: LinkEvents;
  /** The link is one beside another that serves: giving it up is not an error. */
  readonly isOptional: boolean;
  readonly parts: TransitionParts;
  /** Known once the lifecycle exists, which needs this object. */
  readonly life: () => Lifecycle;
}

export class Transitions implements LifecycleEvents {
  readonly #deps: TransitionsDeps;
  /** Kinds of lists that changed with the connection that is being made. */
  #renewed: readonly ListKind[] = [];

  constructor(deps: TransitionsDeps) {
    this.#deps = deps;
  }

  /** Does everything between the handshake and the first call. Rejects if the connection is lost meanwhile. */
  async prepare(dialled: Dialled): Promise<void> {
    const { era, interest, inventory, listen, lists, undeclared } = this.#deps.parts;
    const { carrier, peer } = dialled;
    // A request after the connection was lost would get no answer.
    const check = (): void => {
      if (this.#deps.life().carrier !== carrier) throw disconnected(this.#deps.link.server);
    };
    undeclared.reset();
    inventory.connected(peer);
    era.dialled(dialled);
    if (peer.era === 'modern') await listen.start(LISTEN_FIRST_MS);
    check();
    this.#renewed = await lists.first(carrier, check);
    await interest.renew(carrier);
    check();
  }

  up(): void {
    const { events, link, log, parts } = this.#deps;
    const { calls, grace, inventory, lists } = parts;
    const peer = inventory.peer as Peer;
    const tools = inventory.lists.tools.length;
    calls.observer.up(peer, tools);
    log.info('upstream up', {
      server: link.server,
      transport: link.transportKind,
      revision: peer.revision,
      tools,
    });
    lists.begin();
    grace.end();
    events.state(link, this.#renewed);
    this.outgrow();
  }

  down(carrier: Carrier | undefined, wasUp: boolean): void {
    const { events, link, parts } = this.#deps;
    const { calls, grace, inventory, listen, lists } = parts;
    lists.stop();
    listen.stop();
    if (wasUp || inventory.kinds.length > 0) grace.begin();
    if (carrier) calls.retire(carrier);
    events.state(link, []);
  }

  gaveUp(error: GatewayError): void {
    const { events, isOptional, link, log } = this.#deps;
    this.dropLists();
    if (!isOptional && !link.config.off)
      log.error('upstream given up until a reload', {
        server: link.server,
        // A problem of the configuration was logged when that was read.
        error: link.config.problem === undefined ? link.lastError : undefined,
      });
    events.gaveUp(link, error);
  }

  awaitsLogin(): void {
    this.dropLists();
  }

  draining(): void {
    const { grace, listen, lists } = this.#deps.parts;
    lists.stop();
    listen.stop();
    grace.end();
  }

  closed(): void {
    const { calls, inventory, own } = this.#deps.parts;
    this.draining();
    own.close();
    calls.fail(
      new GatewayError('upstream_disconnected', `upstream '${calls.server}' was removed or restarted`),
    );
    inventory.clear();
  }

  /** The server stays away: its lists are not listed any more. */
  dropLists(): void {
    const { events, link, parts } = this.#deps;
    parts.grace.end();
    const kinds = parts.inventory.drop();
    if (kinds.length > 0) events.changed(link, kinds);
  }

  /** Starts a child again, as a modern server, that answered the probe after it had been taken for a legacy one. */
  outgrow(): void {
    const { life, link, parts } = this.#deps;
    if (!parts.era.outgrown()) return;
    life().failed(
      new GatewayError(
        'upstream_disconnected',
        `upstream '${link.server}' said late that it speaks a modern revision: starting it again`,
      ),
    );
  }
}
