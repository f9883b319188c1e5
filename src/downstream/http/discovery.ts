/**
 * Open documents about the routes that `discovery.expose` names: server cards, an AI catalog, and a registry. Anybody may read them, from
 * any page. They are made of the configuration alone, and a route that is not exposed is in none of them.
 */
import { createHash } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { exposedRoute, issuerUrl } from '../../config/index.js';
import type { AuthConfig, Config } from '../../config/types.js';
import { ERRORS, GatewayError } from '../../errors.js';
import {
  aiCatalog,
  CARD_SUFFIX,
  CARD_TYPE,
  CATALOG_TYPE,
  serverCard,
  type PublishedEndpoint,
} from '../../protocol/cards.js';
import { Registry, REGISTRY_PATH } from './registry.js';
import { sendError, sendJson } from './respond.js';

export interface OpenDocuments {
  /** Whether a path is one of open documents, whether or not there is a document. Everything else is left to other routes. */
  serves(path: string): boolean;
  /** Answers a request for such a path, whose Host has been checked. `query`: without the `?`. */
  serve(req: IncomingMessage, res: ServerResponse, path: string, query: string): void;
}

interface Document {
  readonly type: string;
  readonly body: Buffer;
  /** Strong: the digest of the body. */
  readonly etag: string;
  /** Seconds for which it may be cached. */
  readonly maxAge: number;
}

interface Built {
  readonly config: Config;
  /** By path. */
  readonly documents: ReadonlyMap<string, Document>;
  readonly registry: Registry;
}

const CATALOG_PATH = '/.well-known/ai-catalog.json';
const CARD = /^(?:\/(?:servers|profiles)\/[A-Za-z0-9._-]{1,64})?\/mcp\/server-card$/;
const CARD_SECONDS = 3600;
const REGISTRY_SECONDS = 60;

const METHODS = 'GET, HEAD, OPTIONS';
const CORS = [
  ...['Access-Control-Allow-Origin', '*'],
  ...['Access-Control-Allow-Methods', 'GET'],
  ...['Access-Control-Allow-Headers', 'Content-Type, If-None-Match'],
  ...['Access-Control-Expose-Headers', 'ETag'],
];

/** `config` is read at each request, so that reloads take effect; `version`: that of the gateway. */
export function createDocuments(config: () => Config, version: string): OpenDocuments {
  let built: Built | undefined;

  /** The documents of the configuration, made at the first request for one. */
  function current(): Built {
    const now = config();
    if (built?.config !== now) built = build(now, version);
    return built;
  }

  return {
    serves(path) {
      // No path of these is shorter; that of nearly all requests, /mcp, is.
      if (path.length < REGISTRY_PATH.length) return false;
      if (isCard(path)) return config().discovery.expose.length > 0;
      if (path === CATALOG_PATH) return config().discovery.catalog;
      return isRegistry(path) && config().discovery.registry;
    },
    serve(req, res, path, query) {
      const { method } = req;
      if (method === 'OPTIONS') {
        res.writeHead(204, [...CORS, 'Access-Control-Max-Age', '600', 'Allow', METHODS]).end();
        return;
      }
      if (method !== 'GET' && method !== 'HEAD')
        return refuse(res, path, new GatewayError('method_not_allowed', `only ${METHODS} are served here`), [
          ...['Allow', METHODS],
        ]);
      const { documents, registry } = current();
      if (!isRegistry(path)) {
        const found = documents.get(path);
        if (found) send(req, res, found);
        else refuse(res, path, new GatewayError('not_found', 'there is no server card here'));
        return;
      }
      const answer = registry.answer(path, query, Date.now());
      if (answer instanceof GatewayError) refuse(res, path, answer);
      else send(req, res, document('application/json', answer, REGISTRY_SECONDS));
    },
  };
}

function isCard(path: string): boolean {
  return path.endsWith(CARD_SUFFIX) && CARD.test(path);
}

function isRegistry(path: string): boolean {
  return (
    path.startsWith(REGISTRY_PATH) &&
    (path.length === REGISTRY_PATH.length || path.startsWith(`${REGISTRY_PATH}/`))
  );
}

function build(config: Config, version: string): Built {
  const published = publishedBy(config, version);
  const documents = new Map(
    published.map(([route, endpoint]) => [
      route + CARD_SUFFIX,
      document(CARD_TYPE, JSON.stringify(serverCard(endpoint)), CARD_SECONDS),
    ]),
  );
  const endpoints = published.map(([, endpoint]) => endpoint);
  documents.set(CATALOG_PATH, document(CATALOG_TYPE, JSON.stringify(aiCatalog(endpoints)), CARD_SECONDS));
  return { config, documents, registry: new Registry(endpoints) };
}

/** The exposed routes that exist, with what is said about them. */
function publishedBy(config: Config, version: string): (readonly [route: string, PublishedEndpoint])[] {
  const { discovery, http, mcp, servers, profiles } = config;
  const { publisher, expose } = discovery;
  // Neither is missing: see checkDiscovery of the configuration.
  if (publisher === null || http.public_url === null) return [];
  const base = issuerUrl(http.public_url);
  const key = keyOf(mcp.auth);
  return expose.flatMap((route) => {
    const found = exposedRoute(route);
    if (!found) return [];
    const { kind, name } = found;
    const described = { merged: [{ name, description: undefined }], server: servers, profile: profiles }[
      kind
    ];
    const item = described.find((each) => each.name === name);
    if (!item) return [];
    const { description } = item;
    return [[route, { publisher, name, version, description, url: base + route, key }] as const];
  });
}

/** Whether a key admits clients, and whether nothing else does. */
function keyOf(auth: AuthConfig): PublishedEndpoint['key'] {
  const { mode, tokens, keys, keys_file, issuers, login, client_cert, proxy } = auth;
  const hasKeys = tokens.length > 0 || keys.length > 0 || keys_file !== undefined;
  if (mode === 'none' || !hasKeys) return 'none';
  const others = issuers.length > 0 || [login, client_cert, proxy].some((way) => way !== undefined);
  return others ? 'accepted' : 'required';
}

function document(type: string, text: string, maxAge: number): Document {
  const body = Buffer.from(text);
  const etag = `"${createHash('sha256').update(body).digest('base64url')}"`;
  return { type, body, etag, maxAge };
}

function send(req: IncomingMessage, res: ServerResponse, { type, body, etag, maxAge }: Document): void {
  const headers = ['Cache-Control', `public, max-age=${maxAge}`, 'ETag', etag, ...CORS];
  if (isKnown(req.headers['if-none-match'], etag)) {
    res.writeHead(304, headers).end();
    return;
  }
  res.writeHead(200, ['Content-Type', type, 'Content-Length', String(body.length), ...headers]);
  res.end(body);
}

/** Whether a client has a document already (RFC 9110, 13.1.2). */
function isKnown(header: string | undefined, etag: string): boolean {
  if (header === undefined) return false;
  return header.split(',').some((each) => {
    const tag = each.trim().replace(/^W\//, '');
    return tag === '*' || tag === etag;
  });
}

/** Errors of the registry have the form of its API. */
function refuse(res: ServerResponse, path: string, error: GatewayError, headers: string[] = []): void {
  const all = [...headers, ...CORS];
  if (isRegistry(path))
    sendJson(res, ERRORS[error.code].legacy.http, JSON.stringify({ error: error.message }), all);
  else sendError(res, error, 'null', all);
}
