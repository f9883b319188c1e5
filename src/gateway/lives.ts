/** Keeps what clients have open in step with their credentials, and with what they may see. */
import type { Authenticator } from '../auth/authenticate.js';
import type { AuthConfig } from '../config/types.js';
import type { Bridge } from '../bridge/index.js';
import type { Boundary } from '../observe/boundary.js';
import { LIST_KINDS } from '../protocol/lists.js';
import type { Principal } from '../protocol/ports.js';
import { tellChanged, tellSession } from '../proxy/fan-out.js';
import type { GivenLists } from '../proxy/given.js';
import type { Interests } from '../proxy/interests.js';
import type { Listener, Listeners } from '../proxy/listeners.js';
import type { Sessionless } from '../proxy/under-way.js';
import { routeOf } from '../proxy/route.js';
import type { Tasks } from '../proxy/tasks.js';
import type { Session } from '../session/store.js';
import type { Streams } from '../session/streams.js';
import type { GatewayCredentials } from './credentials.js';
import type { Links } from './links.js';
import type { Sessions } from './sessions.js';

/** How often credentials are checked for their end. */
const CHECK_MS = 1000;

export interface LivesDeps {
  readonly boundary: Boundary;
  readonly sessions: () => Sessions;
  readonly listeners: Listeners;
  readonly links: () => Links;
  readonly interests: () => Interests;
  readonly bridge: () => Bridge;
  readonly sessionless: Sessionless;
  readonly tasks: Pick<Tasks, 'forget'>;
  readonly credentials: Pick<GatewayCredentials, 'eraseOwners'>;
  readonly streams: Streams;
  readonly given: GivenLists;
  readonly auth: () => Authenticator;
  /** Unix milliseconds. */
  readonly clock: () => number;
}

export class Lives {
  readonly #deps: LivesDeps;
  readonly #timer: NodeJS.Timeout;

  constructor(deps: LivesDeps) {
    this.#deps = deps;
    const check = deps.boundary.guard('timer', () => {
      this.#expire();
    });
    this.#timer = setInterval(check, CHECK_MS).unref();
  }

  /** A session showed another credential of the same principal: its newest one counts. */
  renewed(session: Session, principal: Principal): void {
    session.principal = session.caller.principal = principal;
    this.review(session);
  }

  /** After a reload: ends what belongs to withdrawn credentials, and shows all others what they may see now. */
  reload(before: AuthConfig, after: AuthConfig): void {
    const { listeners, sessions, auth, tasks } = this.#deps;
    const current = auth();
    const { views } = this.#deps.links();
    this.#endWhere((principal) => !current.current(principal));
    // A key may have other groups now, or be confined to a profile.
    for (const session of sessions().store.all()) {
      const principal = current.current(session.principal);
      if (principal) session.principal = session.caller.principal = principal;
    }
    sessions().endWhere((session) => !views.exists(session.principal, routeOf(session)), 'server_removed');
    listeners.endWhere(({ caller, route }) => {
      const principal = current.current(caller.principal);
      return !principal || !views.exists(principal, route);
    });
    this.#deps.links().users.endWhere((principal) => !current.current(principal));
    const gone = goneKeys(before, after);
    tasks.forget(gone);
    this.#deps.boundary.detach('detached', this.#deps.credentials.eraseOwners(gone));
    for (const session of [...sessions().store.all()]) if (session.open) this.review(session);
    for (const listener of [...listeners.all()])
      this.#reviewListener(listener, current.current(listener.caller.principal));
  }

  /** Ends what belongs to the tokens of sign-ins that have ended. */
  withdraw(grants: ReadonlySet<string>): void {
    this.#endWhere(({ grant }) => grant !== undefined && grants.has(grant.id));
  }

  /** Ends the sessions, streams and calls whose credentials do not count any more. */
  #endWhere(isWithdrawn: (principal: Principal) => boolean): void {
    const { bridge, listeners, sessionless, sessions } = this.#deps;
    sessions().endWhere(({ principal }) => isWithdrawn(principal), 'auth_changed');
    listeners.endWhere(({ caller }) => isWithdrawn(caller.principal));
    bridge().endWhere(({ caller }) => isWithdrawn(caller.principal));
    for (const incoming of sessionless.all())
      if (isWithdrawn(incoming.principal)) incoming.exchange?.cancel('credential withdrawn');
  }

  close(): void {
    clearInterval(this.#timer);
  }

  /** What a session may see can have changed: a server wants a link for its client, a rule shows or hides something, it shows apps. */
  review(session: Session): void {
    const { links, interests, streams, given } = this.#deps;
    const before = session.caller.view;
    links().give(session);
    if (session.caller.view === before) return;
    interests().review(session);
    const listed = LIST_KINDS.filter((kind) => given.has(session, kind));
    tellSession({ streams, given }, session, listed);
  }

  #reviewListener(listener: Listener, principal = listener.caller.principal): void {
    const { links, interests } = this.#deps;
    const { caller, route } = listener;
    const view = links().views.of({ ...caller, principal }, route);
    listener.caller = { ...caller, principal, view };
    if (view === caller.view) return;
    interests().review(listener);
    tellChanged(listener, LIST_KINDS);
  }

  /** Ends the streams of expired credentials. Their sessions wait for a new one, and their calls finish. */
  #expire(): void {
    const { sessions, listeners, streams, clock } = this.#deps;
    const now = clock();
    const isOver = ({ expires }: Principal): boolean => expires !== undefined && expires <= now;
    for (const session of sessions().store.all())
      if (session.listening && isOver(session.principal)) streams.endServerStream(session);
    listeners.endWhere(({ caller }) => isOver(caller.principal));
  }
}

/** Ids of keys that were removed, or replaced under the same name. A key that is being rotated shares a hash with its old self. */
function goneKeys(before: AuthConfig, after: AuthConfig): ReadonlySet<string> {
  const now = new Map(after.keys.map(({ name, sha256 }) => [name, sha256]));
  const gone = before.keys.filter(
    ({ name, sha256 }) => !now.get(name)?.some((hash) => sha256.includes(hash)),
  );
  return new Set(gone.map(({ name }) => `key:${name}`));
}
