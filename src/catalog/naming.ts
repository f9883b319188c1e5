/** Joins and parses qualified names. No other file does. */
import { createHash } from 'node:crypto';
import { SCHEMES } from '../protocol/extensions/index.js';

const SEPARATOR = '__';
/** Longest name that the specification allows (2025-11-25, server/tools, "Tool Names"). */
const MAX_NAME = 128;
const HASH = 8;

/**
 * Returns `<server>__<name>`. If that is longer than `limit` characters (0: the limit of the specification), a stable alias of that length
 * which ends in a digest of the whole name.
 */
export function qualify(server: string, name: string, limit: number): string {
  return fitting(`${server}${SEPARATOR}${name}`, limit);
}

function fitting(full: string, limit: number): string {
  const longest = limit > 0 ? Math.min(limit, MAX_NAME) : MAX_NAME;
  if (full.length <= longest) return full;
  const digest = createHash('sha256').update(full).digest('hex').slice(0, HASH);
  return `${full.slice(0, Math.max(0, longest - HASH - 1))}_${digest}`;
}

/** The name without its server, of at most the same length. */
export function bareName(name: string, limit: number): string {
  return fitting(name, limit);
}

/** Qualifies an id of a server, such as a task id. Ids have no length limit. */
export function qualifyId(server: string, id: string): string {
  return `${server}${SEPARATOR}${id}`;
}

/** Splits a qualified name at the first separator. */
export function parse(qualified: string): { server: string; name: string } | undefined {
  const at = qualified.indexOf(SEPARATOR);
  if (at <= 0) return undefined;
  return { server: qualified.slice(0, at), name: qualified.slice(at + SEPARATOR.length) };
}

/** How descriptions in merged lists show their server. */
export function describe(server: string): { prefix: string; missing: string } {
  return { prefix: `[${server}] `, missing: `Tool from ${server}` };
}

/** What stands behind the scheme of a URI of an extension, for the server that it belongs to. No server name has a `+` in it. */
export function originOf(server: string): string {
  return `${encodeURIComponent(server)}+/`;
}

const schemeOf = (uri: string): string | undefined => SCHEMES.find((each) => uri.startsWith(`${each}://`));

/** `ui://R` of a server: `ui://<server>+/R`. undefined: the scheme belongs to no extension. Template expressions work in it. */
export function qualifyOrigin(server: string, uri: string): string | undefined {
  const scheme = schemeOf(uri);
  return scheme === undefined
    ? undefined
    : `${scheme}://${originOf(server)}${uri.slice(scheme.length + '://'.length)}`;
}

/** Whether a URI belongs to an extension, whether or not it names its server. */
export function hasOrigin(uri: string): boolean {
  return schemeOf(uri) !== undefined;
}

/** The parts of a URI of an extension; undefined: it names no server. */
export function parseOrigin(qualified: string): { server: string; uri: string } | undefined {
  const scheme = schemeOf(qualified);
  if (scheme === undefined) return undefined;
  const start = scheme.length + '://'.length;
  const at = qualified.indexOf('+/', start);
  // Before it is one name: a path can have the two characters as well.
  if (at === -1 || qualified.slice(start, at).includes('/')) return undefined;
  try {
    const server = decodeURIComponent(qualified.slice(start, at));
    return { server, uri: `${scheme}://${qualified.slice(at + 2)}` };
  } catch {
    return undefined;
  }
}

const QUALIFIED_URI = 'mcpstead:';

/** The form of a URI that another server lists too. Template expressions work in it. */
export function qualifyUri(server: string, uri: string): string {
  return `${QUALIFIED_URI}${server}:${uri}`;
}

export function parseUri(qualified: string): { server: string; uri: string } | undefined {
  if (!qualified.startsWith(QUALIFIED_URI)) return undefined;
  const colon = qualified.indexOf(':', QUALIFIED_URI.length);
  if (colon === -1) return undefined;
  return { server: qualified.slice(QUALIFIED_URI.length, colon), uri: qualified.slice(colon + 1) };
}
