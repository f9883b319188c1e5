/** The links of one client, and who it is. */
import type { OverlaidCatalog } from '../catalog/catalog.js';
import type { ServerConfig } from '../config/types.js';
import type { LinkAdmin, Principal, ServerLink } from '../protocol/ports.js';
import type { Era } from '../protocol/revisions.js';
import type { Session } from '../session/store.js';
import type { Route } from './route.js';
import type { Viewer } from './views.js';

/** A link of one client, as the upstream modules make it. */
export interface OwnLink extends ServerLink, LinkAdmin<ServerConfig> {}

/** The owner of a link. `era`: preferred for servers that speak both. */
export interface OwnClient {
  readonly id: string;
  readonly principal: Principal;
  readonly capabilities: Readonly<Record<string, unknown>>;
  readonly era: Era;
}

/** The client that owns links. */
export interface Owner {
  readonly id: string;
  /** The user whose links are counted together at the limit: the address that opened a session, or a modern client. */
  readonly whose: string;
  readonly viewer: Viewer;
  readonly route: Route;
  /** undefined: a modern client. */
  readonly session: Session | undefined;
  /** When a modern client last sent a request; monotonic time. Unused for a session. */
  lastUsed: number;
}

/** The links of one owner, and the registry that shows them. */
export interface Owned {
  readonly owner: Owner;
  readonly catalog: OverlaidCatalog;
  readonly links: Map<string, OwnLink>;
  /** After a reload: links that replace those of the same server once they are up. */
  readonly nexts: Map<string, Next>;
}

/** The link of a changed configuration, until it replaces the old link. */
export interface Next {
  readonly link: OwnLink;
  /** Retires the old link even if the new one is not up. */
  timer: NodeJS.Timeout | undefined;
}

/** What tells modern clients apart: requests with equal keys are of one client. */
export function keyOfModern({ client, capabilities }: Viewer, route: Route): string {
  return `${route.path}\0${client}\0${JSON.stringify(capabilities)}`;
}

export function clientOf({ id, viewer }: Owner): OwnClient {
  return { id, principal: viewer.principal, capabilities: viewer.capabilities, era: viewer.era };
}

/** Whether calls are under way that would end with its session, or its links. */
export function isBusy({ owner, links }: Owned): boolean {
  return (owner.session?.inFlight?.size ?? 0) > 0 || [...links.values()].some(({ inFlight }) => inFlight > 0);
}

export function lastUsed(owner: Owner): number {
  return owner.session?.lastSeen ?? owner.lastUsed;
}
