/**
 * Checks Host (against DNS rebinding) and Origin (against pages of other sites), and sets CORS headers for admitted origins. Routes below
 * `/-/` are for pages of the gateway itself alone.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { isIP } from 'node:net';
import { isLoopback } from '../../config/index.js';
import type { Config } from '../../config/types.js';
import { GatewayError } from '../../errors.js';

export interface Guard {
  /** Checks the Host alone. */
  checkHost(req: IncomingMessage): GatewayError | undefined;
  /** undefined: admitted; CORS headers are set on `res`. */
  check(req: IncomingMessage, res: ServerResponse): GatewayError | undefined;
  /** The same below `/-/`, where no origin gets CORS headers. */
  checkOwn(req: IncomingMessage, route: OwnRoute | undefined): GatewayError | undefined;
  /** Answers a preflight request of an admitted origin. */
  preflight(req: IncomingMessage, res: ServerResponse): void;
}

/** What the check needs to know about a route below `/-/`. */
export interface OwnRoute {
  /** A page: links of other sites may lead to it. */
  readonly page?: true | undefined;
  /** A POST may have any content type. */
  readonly anyType?: true | undefined;
  /** Whether it always takes a credential that the request itself shows, so that a page that poses as this host gains nothing. */
  readonly keyed?: true | undefined;
}

const EXPOSED = 'Mcp-Session-Id, WWW-Authenticate, Retry-After';
const ALLOWED_HEADERS =
  'Accept, Authorization, Content-Type, Last-Event-ID, MCP-Protocol-Version, Mcp-Method, Mcp-Name, Mcp-Session-Id';

/** The name in a Host header or an authority: without port, brackets and trailing dot, lower case. */
function nameOf(authority: string): string {
  // Only a port may follow an address in brackets: `[::1].evil.com` is a foreign name.
  const name = /^\[([^[\]]*)\](?::\d*)?$/.exec(authority)?.[1] ?? authority.replace(/:\d*$/, '');
  return name.replace(/\.$/, '').toLowerCase();
}

/** An allowed host without a port matches any port. */
function matchesHost(allowed: readonly string[], host: string): boolean {
  const lower = host.toLowerCase();
  return allowed.some((entry) => {
    const want = entry.toLowerCase();
    return want === lower || want === nameOf(host);
  });
}

/** `boundHost`: the address the gateway listens on. `config`: read at each request, so that reloads take effect. */
export function createGuard(boundHost: string, config: () => Config): Guard {
  const onLoopback = isLoopback(boundHost);
  /** The last admitted Host and its configuration: nearly all requests have the same. */
  let admitted: { host: string; config: Config } | undefined;

  function checkHost(req: IncomingMessage): GatewayError | undefined {
    if (!onLoopback) return undefined;
    const host = req.headers.host ?? '';
    if (host === '' || (host === admitted?.host && admitted.config === config())) return undefined;
    const refusal = judgeHost(host);
    if (!refusal) admitted = { host, config: config() };
    return refusal;
  }

  function judgeHost(host: string): GatewayError | undefined {
    const name = nameOf(host);
    if (isLoopback(name)) return undefined;
    const { allowed_hosts, public_url } = config().http;
    if (matchesHost(allowed_hosts, host)) return undefined;
    if (public_url !== null && new URL(public_url).hostname === name) return undefined;
    return new GatewayError(
      'forbidden',
      `the Host '${host.slice(0, 128)}' is not this gateway's: it listens on ${boundHost}; add the name to http.allowed_hosts to admit it`,
    );
  }

  function isAllowedOrigin(origin: string, req: IncomingMessage): boolean {
    const { allowed_origins, public_url } = config().http;
    if (allowed_origins.includes(origin) || allowed_origins.includes('*')) return true;
    let url: URL;
    try {
      url = new URL(origin);
    } catch {
      return false;
    }
    const name = nameOf(url.hostname);
    if (public_url !== null && new URL(public_url).origin === url.origin) return true;
    // DNS rebinding needs a name: a page from this very address belongs to this host.
    return isThisAddress(name, req);
  }

  /** Whether a page belongs to this very host and port, or to `http.public_url`. */
  function isOwnOrigin(origin: string, req: IncomingMessage, keyed: boolean): boolean {
    if (!URL.canParse(origin)) return false;
    const url = new URL(origin);
    const { public_url, allowed_hosts } = config().http;
    if (public_url !== null && new URL(public_url).origin === url.origin) return true;
    if (url.host !== (req.headers.host ?? '').toLowerCase()) return false;
    // A name may have been made to lead here by the page itself.
    const name = nameOf(url.hostname);
    return keyed || onLoopback || matchesHost(allowed_hosts, url.host) || isThisAddress(name, req);
  }

  function isThisAddress(name: string, req: IncomingMessage): boolean {
    if (isLoopback(name) || name === boundHost.toLowerCase()) return true;
    return isIP(name) !== 0 && name === (req.socket.localAddress ?? '').replace(/^::ffff:/, '');
  }

  return {
    checkHost,
    checkOwn(req, route) {
      const refusal = checkHost(req);
      if (refusal) return refusal;
      const { origin } = req.headers;
      const site = req.headers['sec-fetch-site'];
      if (site !== undefined && site !== 'same-origin' && !(route?.page && isNavigation(req)))
        return new GatewayError('forbidden', 'this is for pages of the gateway itself: open its console');
      if (origin !== undefined && !isOwnOrigin(origin, req, route?.keyed === true))
        return new GatewayError(
          'forbidden',
          `the Origin '${origin.slice(0, 128)}' is not this gateway's: http.public_url names another address under which it is reached`,
        );
      if (req.method !== 'POST' || !route || route.anyType) return undefined;
      const type = req.headers['content-type'];
      if (type !== undefined && /^application\/json\s*(;|$)/i.test(type)) return undefined;
      return new GatewayError('unsupported_media_type', 'Content-Type must be application/json');
    },
    check(req, res) {
      const refusal = checkHost(req);
      if (refusal) return refusal;
      const { origin } = req.headers;
      if (origin === undefined) return undefined;
      if (!isAllowedOrigin(origin, req))
        return new GatewayError(
          'forbidden',
          `the Origin '${origin.slice(0, 128)}' is not admitted: add it to http.allowed_origins`,
        );
      res.setHeader('Access-Control-Allow-Origin', origin);
      res.setHeader('Access-Control-Expose-Headers', EXPOSED);
      res.setHeader('Vary', 'Origin');
      return undefined;
    },
    preflight(req, res) {
      if (req.headers.origin !== undefined) {
        res.setHeader('Access-Control-Allow-Methods', 'GET, POST, DELETE, OPTIONS');
        const extra = String(req.headers['access-control-request-headers'] ?? '')
          .split(',')
          .map((name) => name.trim().toLowerCase())
          .filter((name) => /^mcp-param-[!#$%&'*+.^_`|~0-9a-z-]{1,100}$/.test(name))
          .slice(0, 32);
        res.setHeader('Access-Control-Allow-Headers', [ALLOWED_HEADERS, ...extra].join(', '));
        res.setHeader('Access-Control-Max-Age', '600');
      }
      res.writeHead(204).end();
    },
  };
}

/** Whether a browser opens a document: by a link, by the address bar, or on the way back from another site. */
function isNavigation({ method, headers }: IncomingMessage): boolean {
  return (
    (method === 'GET' || method === 'HEAD') &&
    headers['sec-fetch-mode'] === 'navigate' &&
    headers['sec-fetch-dest'] === 'document'
  );
}
