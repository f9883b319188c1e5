/** A scripted MCP server behind a real authorization server, and what a person does at the page where he logs in to it. */
import type { ServerResponse } from 'node:http';
import { decodeJwt } from 'jose';
import {
  createUpstream,
  type Received,
  type Upstream,
  type UpstreamOptions,
} from '../fixtures/servers/http-upstream.js';
import { startOidc, type Oidc } from '../fixtures/servers/oidc.mjs';
import { createModernUpstream, type ModernUpstreamOptions } from './modern.js';
import { atEnd } from './cleanup.js';
import { send, type Headers } from './http.js';
import { browse } from './login.js';

export interface Guarded {
  readonly oidc: Oidc;
  readonly upstream: Upstream;
  /** The `jti` of the token of each request that was let in, with its session and its method. */
  readonly seen: { readonly token: string; readonly session: string | undefined; readonly method: string }[];
}

interface GuardedOptions {
  readonly ttl?: number;
  readonly modern?: ModernUpstreamOptions;
  readonly legacy?: UpstreamOptions;
  /** Methods that need no token. */
  readonly free?: readonly string[];
}

/** Starts an authorization server, and a server that lets in nobody without one of its tokens. */
export async function startGuarded({
  ttl = 300,
  modern,
  legacy,
  free = [],
}: GuardedOptions = {}): Promise<Guarded> {
  const oidc = await startOidc({ ttl });
  atEnd(() => {
    oidc.close();
  });
  const seen: Guarded['seen'] = [];
  const upstream = modern ? await createModernUpstream(modern) : await createUpstream(legacy ?? {});
  const { onHttp } = upstream.options;
  upstream.options.onHttp = (received: Received, res: ServerResponse): boolean | undefined => {
    const { path, headers, message } = received;
    if (path === '/metadata') {
      res.writeHead(200, { 'content-type': 'application/json' });
      res.end(JSON.stringify({ resource: upstream.url, authorization_servers: [oidc.issuer] }));
      return true;
    }
    const token = headers.authorization?.replace('Bearer ', '');
    const method = message.method ?? '';
    if (token === undefined && !free.includes(method)) {
      const challenge = `Bearer resource_metadata="${upstream.origin}/metadata", scope="read"`;
      res.writeHead(401, { 'www-authenticate': challenge }).end('no');
      return true;
    }
    const session = headers['mcp-session-id'];
    if (token !== undefined)
      seen.push({
        token: decodeJwt(token).jti ?? '',
        session: typeof session === 'string' ? session : undefined,
        method,
      });
    return onHttp?.(received, res);
  };
  return { oidc, upstream, seen };
}

/** Opens the page of a login, goes on, logs in as a person, and comes back. Returns the page at the end. */
export async function logInAt(link: string, headers: Headers = {}): Promise<string> {
  const id = new URL(link).pathname.split('/').at(-1) as string;
  const { origin } = new URL(link);
  const went = await send(
    `${origin}/-/api/v1/logins/${id}`,
    {},
    { headers: { ...headers, origin, 'content-type': 'application/json' } },
  );
  if (went.status !== 200) throw new Error(`the login does not go on: ${went.status} ${went.text}`);
  const { url } = went.json<{ url: string }>();
  const cookie = String(went.headers['set-cookie']).split(';')[0] as string;
  const at = new URL(url);
  const back = await browse(at, at.searchParams.get('redirect_uri') ?? '');
  const page = await fetch(back, { headers: { cookie }, redirect: 'manual' });
  return `${page.status} ${page.headers.get('location') ?? (await page.text())}`;
}
