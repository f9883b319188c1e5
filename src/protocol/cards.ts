/**
 * What open documents say about an endpoint: its server card (SEP-2127), its entry in an AI catalog (specVersion 1.0), and its entry in a
 * registry of servers (API v0.1). All three are made of the configuration alone.
 */
import { LEGACY_REVISIONS, MODERN_REVISIONS } from './revisions.js';

export const CARD_TYPE = 'application/mcp-server-card+json';
export const CATALOG_TYPE = 'application/ai-catalog+json';
/** Behind the URL of an endpoint. */
export const CARD_SUFFIX = '/server-card';

const CARD_SCHEMA = 'https://static.modelcontextprotocol.io/schemas/v1/server-card.schema.json';
const SERVER_SCHEMA = 'https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json';
/** The most characters that both schemas allow in a description. */
const MAX_DESCRIPTION = 100;
/** The name of a key where somebody is asked for it. */
const KEY = 'MCPSTEAD_KEY';

/** An endpoint that open documents describe. */
export interface PublishedEndpoint {
  /** A reverse domain name. */
  readonly publisher: string;
  /** Of `A-Z a-z 0-9 . _ -`. */
  readonly name: string;
  readonly version: string;
  /** undefined: the configuration does not describe it. */
  readonly description: string | undefined;
  /** Where clients connect. */
  readonly url: string;
  /** Whether a key in the header `Authorization` admits a client: `accepted` if there are other ways in. */
  readonly key: 'none' | 'accepted' | 'required';
}

/** `com.example/docs` */
export function publishedName({ publisher, name }: PublishedEndpoint): string {
  return `${publisher}/${name}`;
}

export function serverCard(endpoint: PublishedEndpoint): object {
  const supportedProtocolVersions = [...LEGACY_REVISIONS, ...MODERN_REVISIONS];
  return {
    $schema: CARD_SCHEMA,
    ...identity(endpoint),
    remotes: [{ ...remote(endpoint), supportedProtocolVersions }],
  };
}

export function aiCatalog(endpoints: readonly PublishedEndpoint[]): object {
  return {
    specVersion: '1.0',
    entries: endpoints.map(({ publisher, name, url }) => ({
      identifier: `urn:air:${domainOf(publisher)}:mcp:${name}`,
      type: CARD_TYPE,
      url: url + CARD_SUFFIX,
    })),
  };
}

/** A `ServerResponse` of the API of registries. It has no times: the gateway does not know when an endpoint was published. */
export function registryEntry(endpoint: PublishedEndpoint): object {
  return {
    server: { $schema: SERVER_SCHEMA, ...identity(endpoint), remotes: [remote(endpoint)] },
    _meta: { 'io.modelcontextprotocol.registry/official': { status: 'active', isLatest: true } },
  };
}

function identity(endpoint: PublishedEndpoint): object {
  const { name, version, description } = endpoint;
  return {
    name: publishedName(endpoint),
    description: shortened(description ?? '') || `MCP server ${name}`,
    version,
  };
}

function remote({ url, key }: PublishedEndpoint): object {
  const isRequired = key === 'required';
  const header = {
    name: 'Authorization',
    description: 'Bearer and a key for this gateway',
    isRequired,
    isSecret: true,
    value: `Bearer {${KEY}}`,
    variables: { [KEY]: { description: 'A key for this gateway', isRequired, isSecret: true } },
  };
  return { type: 'streamable-http', url, ...(key === 'none' ? {} : { headers: [header] }) };
}

/** One line, cut to the length that schemas allow. */
function shortened(text: string): string {
  const line = text.replace(/\s+/g, ' ').trim();
  return Array.from(line).slice(0, MAX_DESCRIPTION).join('').trimEnd();
}

/** `example.com` for `com.example` */
function domainOf(publisher: string): string {
  return publisher.toLowerCase().split('.').reverse().join('.');
}
