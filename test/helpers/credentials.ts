/** An authorization server and a resource as a script, and what the credentials of a server need. */
import type { ServerMetadata } from '../../src/credentials/discovery.js';
import type { Grant } from '../../src/credentials/grants.js';
import type { OAuthConfig } from '../../src/config/types.js';
import type { Guard, GuardedAnswer, GuardedFetch, SmallRequest } from '../../src/protocol/small-request.js';

export const OPEN: Guard = {
  origins: new Set(),
  allowHosts: [],
  isLoopback: false,
  caFile: undefined,
};

export type Reply = number | object | string | Error;
type Script = (request: SmallRequest) => Reply | Promise<Reply>;

/** Answers from a table of `METHOD URL`; what is not there is HTTP 404. */
export function scripted(replies: Record<string, Reply | Script>): {
  fetch: GuardedFetch;
  asked: string[];
  sent: SmallRequest[];
} {
  const asked: string[] = [];
  const sent: SmallRequest[] = [];
  return {
    asked,
    sent,
    fetch: async (request, _guard, signal) => {
      signal.throwIfAborted();
      asked.push(request.method === 'GET' ? request.url : `${request.method} ${request.url}`);
      sent.push(request);
      const reply = replies[asked.at(-1) as string] ?? 404;
      return answerOf(typeof reply === 'function' ? await (reply as Script)(request) : reply);
    },
  };
}

function answerOf(reply: Reply): GuardedAnswer {
  if (reply instanceof Error) throw reply;
  if (typeof reply === 'number') return { status: reply, headers: {}, body: Buffer.alloc(0) };
  if (typeof reply === 'string') return { status: 200, headers: {}, body: Buffer.from(reply) };
  if ('status' in reply && 'body' in reply) {
    const { status, body, headers = {} } = reply as GuardedAnswer & { body: unknown };
    const text = typeof body === 'string' ? body : JSON.stringify(body);
    return { status, headers, body: Buffer.from(text) };
  }
  return { status: 200, headers: {}, body: Buffer.from(JSON.stringify(reply)) };
}

export const AUTH: OAuthConfig = {
  type: 'oauth',
  grant: 'authorization_code',
  per: 'gateway',
  issuer: undefined,
  metadata: undefined,
  client_id: undefined,
  client_secret: undefined,
  private_key: undefined,
  client_metadata_url: undefined,
  redirect_uri: undefined,
  scopes: undefined,
  resource: undefined,
  params: { authorize: {}, token: {} },
  allow_hosts: [],
  isLoopback: false,
};

export const SERVER: ServerMetadata = {
  issuer: 'https://as.example',
  token_endpoint: 'https://as.example/token',
  authorization_endpoint: 'https://as.example/authorize',
  registration_endpoint: 'https://as.example/register',
  revocation_endpoint: 'https://as.example/revoke',
  device_authorization_endpoint: 'https://as.example/device',
  code_challenge_methods_supported: ['S256'],
};

export function grantOf(more: Partial<Grant> = {}): Grant {
  return {
    server: SERVER,
    client: { issuer: SERVER.issuer, id: 'c', kind: 'registered', authentication: { method: 'none' } },
    resource: 'https://mcp.example/mcp',
    access: 'access-1',
    refresh: 'refresh-1',
    expiresAt: undefined,
    obtainedAt: 0,
    scopes: ['read'],
    asked: ['read'],
    ...more,
  };
}

/** What a promise rejects with. */
export async function failure(
  promise: Promise<unknown>,
): Promise<Error & { code?: string; data?: unknown; kind?: string }> {
  const error: unknown = await promise.then(
    (value) => new Error(`resolved with ${String(value)}`),
    (reason: unknown) => reason,
  );
  return error as Error;
}
