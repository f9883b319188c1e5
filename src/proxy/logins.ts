/** What a caller is answered while a server waits for a login: a link that his client can open, or the words that help him. */
import { inputRequired } from '../bridge/input.js';
import type { Bridge } from '../bridge/index.js';
import { isLoginTool, LOGIN_TOOL, hasListed } from '../catalog/login-tools.js';
import { GatewayError, needsLogin } from '../errors.js';
import type { Boundary } from '../observe/boundary.js';
import type { LoginOffer, LoginOffers } from '../protocol/logins.js';
import { isPerson } from '../protocol/principal.js';
import type { Caller, Principal, Target } from '../protocol/ports.js';
import type { Session } from '../session/store.js';
import type { Streams } from '../session/streams.js';
import { objectOf } from '../wire/json.js';
import type { Incoming } from './incoming.js';
import { Watch } from './watch.js';

export interface CallerLoginsDeps {
  readonly offers: LoginOffers;
  readonly boundary: Boundary;
  readonly streams: Pick<Streams, 'notifyOnceOpen'>;
  readonly bridge: () => Pick<Bridge, 'loginState'>;
  /** Whether each user has a login of his own at a server. */
  readonly isPerUser: (server: string) => boolean;
  /** Whether a principal may log the gateway in. `path`: what he asks for. */
  readonly mayOperate: (principal: Principal, path: string) => boolean;
}

/** In place of the answer of a server. */
export type LoginAnswer =
  | { readonly error: GatewayError }
  /** JSON of the result; `resultType`: unless it is `complete`. */
  | { readonly result: string | Buffer; readonly resultType?: 'input_required' };

/** How long a retry waits for the end of the login that its client was asked to open. */
const WAIT_MS = 55_000;
/** The requests that a modern server may answer with `input_required` (2026-07-28, basic/patterns/mrtr). */
const MAY_ASK: ReadonlySet<string> = new Set(['tools/call', 'prompts/get', 'resources/read']);
/** The key of the input request. */
const KEY = 'login';

export class CallerLogins {
  readonly #deps: CallerLoginsDeps;
  /** The sessions that were asked to open a link, by its id. */
  readonly #watched = new Map<string, Watch>();

  constructor(deps: CallerLoginsDeps) {
    this.#deps = deps;
  }

  /**
   * The answer to a request that fails with `error`, a `login_required`. `name`: what it names. `declined`: its client did not want to open
   * the page.
   */
  answer(
    incoming: Incoming,
    name: string,
    error: GatewayError,
    { isTool = false, declined = false } = {},
  ): LoginAnswer {
    const { caller, message } = incoming;
    const { server, scopes = [], ...rest } = error.data as LoginData;
    const offer = this.#offer(caller.principal, server, scopes);
    const help = this.#help(incoming, server, offer);
    const text = `upstream '${server}' needs a login: ${help}`;
    if (offer && !declined && opensUrls(caller)) {
      const asked = { mode: 'url', message: `'${server}' needs a login.`, url: offer.url };
      if (caller.era === 'legacy') {
        if (incoming.session) this.#watch(incoming.session, offer.id);
        const elicitations = [{ ...asked, elicitationId: offer.id }];
        return { error: new GatewayError('url_elicitation_required', text, { elicitations }) };
      }
      if (MAY_ASK.has(message.method)) {
        const presented = { message, caller, route: incoming.origin.route.key, name };
        const state = this.#deps.bridge().loginState(presented, offer.id, isTool);
        const request = Buffer.from(JSON.stringify({ method: 'elicitation/create', params: asked }));
        return { result: inputRequired([[KEY, request]], state), resultType: 'input_required' };
      }
    }
    if (isTool) return { result: toolResult(caller, text) };
    const data = {
      server,
      ...rest,
      ...(scopes.length > 0 && { scopes }),
      ...(offer && { url: offer.url }),
    };
    return { error: new GatewayError('login_required', text, data) };
  }

  /** The answer to a call of the login tool; undefined: it is a call of another tool. */
  tool(incoming: Incoming, name: string, { link, definition, name: own }: Target): LoginAnswer | undefined {
    const { server, login } = link;
    if (isLoginTool(definition))
      return this.answer(incoming, name, needsLogin(server, login ?? 'never'), { isTool: true });
    // Called once more after the login, when the server lists its own tools.
    const isLate = definition === undefined && own === LOGIN_TOOL && link.state === 'up';
    return isLate && hasListed(link) ? this.loggedIn(incoming, server) : undefined;
  }

  loggedIn({ caller }: Incoming, server: string): LoginAnswer {
    return { result: toolResult(caller, `You are logged in to '${server}': its tools are listed now.`) };
  }

  /** Waits for a login to end, at most 55 s. Never rejects. */
  async ended(id: string, signal: AbortSignal): Promise<void> {
    const late = AbortSignal.any([signal, AbortSignal.timeout(WAIT_MS)]);
    await this.#deps.offers.done(id, late).catch(() => false);
  }

  #offer(principal: Principal, server: string, scopes: readonly string[]): LoginOffer | undefined {
    if (this.#deps.isPerUser(server) && !isPerson(principal)) return undefined;
    return this.#deps.offers.offer(server, principal, scopes);
  }

  #help({ caller, origin }: Incoming, server: string, offer: LoginOffer | undefined): string {
    const { principal } = caller;
    if (this.#deps.isPerUser(server) && !isPerson(principal)) return 'use a key of your own';
    const command = `run: mcpstead login ${server}`;
    if (offer) return `open ${offer.url}, or ${command}`;
    const may = this.#deps.isPerUser(server) || this.#deps.mayOperate(principal, origin.route.path);
    return may ? command : 'ask its operator';
  }

  /** Tells a session once a login has ended that it was asked to open (2025-11-25, client/elicitation). */
  #watch(session: Session, id: string): void {
    const known = this.#watched.get(id);
    if (known) return known.add(session);
    const watch = new Watch();
    watch.add(session);
    this.#watched.set(id, watch);
    // An offer ends by itself.
    const told = this.#deps.offers.done(id, new AbortController().signal).then((done) => {
      this.#watched.delete(id);
      if (done) watch.tell(this.#deps.streams, id);
    });
    this.#deps.boundary.detach('detached', told);
  }
}

interface LoginData {
  readonly server: string;
  readonly reason: string;
  readonly scopes?: readonly string[];
}

/** Whether a client opens URLs for its user: since 2025-11-25. */
function opensUrls({ capabilities, revision }: Caller): boolean {
  return revision >= '2025-11-25' && objectOf(objectOf(capabilities['elicitation'])?.['url']) !== undefined;
}

function toolResult({ era }: Caller, text: string): string {
  const result = { content: [{ type: 'text', text }] };
  return JSON.stringify(era === 'modern' ? { resultType: 'complete', ...result } : result);
}
