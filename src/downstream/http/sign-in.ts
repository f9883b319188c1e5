/** The endpoints of the authorization server in the gateway (`mcp.auth.login`): metadata, pages for people, tokens for clients. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { GatewayError } from '../../errors.js';
import type { Budget } from '../../lib/budget.js';
import type { Shown } from '../../protocol/ports.js';
import type { JsonAnswer, Sender, SignInServer, Step } from '../../protocol/sign-in.js';
import { readBody } from './body.js';
import { sendPage } from './page.js';
import { sendError, sendJson } from './respond.js';
import { signInPage } from './sign-in-pages.js';

export interface SignInDoor {
  /** Whether people sign in here. */
  readonly isOn: boolean;
  /** undefined: the gateway signs nobody in. Rejects if its state cannot be read. */
  server(): Promise<SignInServer> | undefined;
  /** The path of `http.public_url`; empty: it has none. */
  readonly prefix: string;
  /** The address that requests are counted by. */
  address(shown: Shown): string;
}

export interface SignInRequest {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  readonly path: string;
  /** Without the `?`. */
  readonly query: string;
}

interface Endpoint {
  readonly method: 'GET' | 'POST';
  /** Pages of any site may use it: it takes no cookie. */
  readonly cors: boolean;
  serve(server: SignInServer, request: SignInRequest, sender: Sender, body: Buffer): Promise<void> | void;
}

const METADATA = '/.well-known/oauth-authorization-server';
const MAX_BYTES = 16_384;
const MOST_QUERY = 16_384;
const CORS = ['Access-Control-Allow-Origin', '*'];
const ALLOWED_HEADERS = 'Accept, Authorization, Content-Type, MCP-Protocol-Version';
const NO_STORE = ['Cache-Control', 'no-store'];
const FORM = /^application\/x-www-form-urlencoded(?:\s*;|$)/i;

const ENDPOINTS: ReadonlyMap<string, Endpoint> = new Map<string, Endpoint>([
  [
    METADATA,
    {
      method: 'GET',
      cors: true,
      serve({ metadata }, { res }) {
        sendDocument(res, { status: 200, body: metadata });
      },
    },
  ],
  [
    '/oauth/jwks',
    {
      method: 'GET',
      cors: true,
      serve({ jwks }, { res }) {
        sendDocument(res, { status: 200, body: jwks });
      },
    },
  ],
  [
    '/oauth/register',
    {
      method: 'POST',
      cors: true,
      serve(server, { res }, sender, body) {
        sendDocument(res, server.register(body, sender));
      },
    },
  ],
  [
    '/oauth/token',
    {
      method: 'POST',
      cors: true,
      async serve(server, { req, res }, sender, body) {
        sendDocument(res, await server.token(formOf(body), req.headers.authorization, sender));
      },
    },
  ],
  [
    '/oauth/revoke',
    {
      method: 'POST',
      cors: true,
      async serve(server, { req, res }, sender, body) {
        sendDocument(res, await server.revoke(formOf(body), req.headers.authorization, sender));
      },
    },
  ],
  [
    '/oauth/authorize',
    {
      method: 'GET',
      cors: false,
      async serve(server, { req, res, query }, sender) {
        sendStep(req, res, await server.authorize(new URLSearchParams(query), sender));
      },
    },
  ],
  [
    '/oauth/consent',
    {
      method: 'POST',
      cors: false,
      async serve(server, { req, res }, sender, body) {
        sendStep(req, res, await server.consent(formOf(body), sender));
      },
    },
  ],
  [
    '/oauth/callback',
    {
      method: 'GET',
      cors: false,
      async serve(server, { req, res, query }, sender) {
        sendStep(req, res, await server.callback(new URLSearchParams(query), sender));
      },
    },
  ],
]);

/** The endpoint at a path; undefined: none, or nobody is signed in here. */
export function findSignIn(door: SignInDoor, path: string): Endpoint | undefined {
  if (!path.startsWith('/oauth/') && !path.includes(METADATA)) return undefined;
  const { prefix } = door;
  // RFC 8414, 3.1: inserted before the path of the issuer. A proxy in front may have removed that path.
  const isMetadata = [METADATA, `${METADATA}/`, METADATA + prefix, prefix + METADATA].includes(path);
  return ENDPOINTS.get(isMetadata ? METADATA : path);
}

/** Serves an endpoint. Rejects with what is a bug. */
export async function serveSignIn(
  door: SignInDoor,
  endpoint: Endpoint,
  request: SignInRequest,
  budget: Budget,
): Promise<void> {
  const { req, res, query } = request;
  const { method, cors } = endpoint;
  const headers = cors ? CORS : [];
  if (req.method === 'OPTIONS' && cors) {
    res
      .writeHead(204, [
        ...CORS,
        ...['Access-Control-Allow-Methods', `${method}, OPTIONS`],
        ...['Access-Control-Allow-Headers', ALLOWED_HEADERS, 'Access-Control-Max-Age', '600'],
      ])
      .end();
    return;
  }
  if (req.method !== method && !(req.method === 'HEAD' && method === 'GET'))
    return sendError(res, new GatewayError('method_not_allowed', `only ${method} is served here`), 'null', [
      ...['Allow', cors ? `${method}, OPTIONS` : method],
      ...headers,
    ]);
  if (query.length > MOST_QUERY)
    return sendError(res, new GatewayError('invalid_request', 'the query is too long'), 'null', [...headers]);
  let body: Buffer = Buffer.alloc(0);
  if (method === 'POST') {
    const read = await bodyOf(req, res, budget);
    if (read === undefined) return;
    if (read instanceof GatewayError || (request.path !== '/oauth/register' && !FORM.test(typeOf(req))))
      return sendDocument(res, { status: 400, body: unreadable(read) });
    body = read;
  }
  let server: SignInServer | undefined;
  try {
    server = await door.server();
  } catch {
    // The log says why.
    return sendDocument(res, {
      status: 503,
      body: {
        error: 'temporarily_unavailable',
        error_description: 'the state of the gateway cannot be used',
      },
      headers: ['Retry-After', '5'],
    });
  }
  if (!server)
    return sendError(res, new GatewayError('not_found', 'nobody signs in here'), 'null', [...headers]);
  const { origin, cookie } = req.headers;
  await endpoint.serve(server, request, { address: door.address(req), origin, cookie }, body);
}

function unreadable(read: Buffer | GatewayError): object {
  const why =
    read instanceof GatewayError ? read.message : 'Content-Type must be application/x-www-form-urlencoded';
  return { error: 'invalid_request', error_description: why };
}

function typeOf({ headers }: IncomingMessage): string {
  return headers['content-type'] ?? '';
}

function formOf(body: Buffer): URLSearchParams {
  return new URLSearchParams(body.toString('utf8'));
}

/** undefined: the client has gone. */
function bodyOf(
  req: IncomingMessage,
  res: ServerResponse,
  budget: Budget,
): Promise<Buffer | GatewayError | undefined> {
  return new Promise((resolve) => {
    readBody(req, res, MAX_BYTES, budget, req.socket, (body, error, held) => {
      held?.release();
      resolve(error ?? body);
    });
  });
}

function sendDocument(res: ServerResponse, { status, body, headers = [] }: JsonAnswer): void {
  if (res.destroyed) return;
  sendJson(res, status, body === undefined ? '' : JSON.stringify(body), [...CORS, ...NO_STORE, ...headers]);
}

function sendStep(req: IncomingMessage, res: ServerResponse, step: Step): void {
  if (res.destroyed) return;
  const cookies = (step.cookies ?? []).flatMap((cookie) => ['Set-Cookie', cookie]);
  if ('page' in step) return sendPage(req, res, signInPage(step.page, cookies));
  res
    .writeHead(303, [
      ...['Location', step.location, 'Content-Length', '0', ...NO_STORE],
      ...['Referrer-Policy', 'no-referrer', ...cookies],
    ])
    .end();
}
