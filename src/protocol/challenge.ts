/** Reads WWW-Authenticate (RFC 9110, 11.6.1), as far as a Bearer challenge is concerned. */

export interface BearerChallenge {
  /** RFC 9728, 5.1; undefined: none. */
  readonly resourceMetadata: string | undefined;
  /** undefined: it names none. */
  readonly scopes: readonly string[] | undefined;
  readonly error: string | undefined;
}

/** A longer header is not read. */
const MOST_CHARS = 8192;
const TOKEN = /[!#$%&'*+.^_`|~0-9A-Za-z-]+/y;
const TOKEN68 = /[A-Za-z0-9._~+/-]+=*(?=[\t ]*(?:,|$))/y;
const QUOTED = /"((?:[^"\\]|\\.)*)"/sy;
/** Some servers write a URL without the quotes that it needs. */
const UNQUOTED = /[^\t ,"]+/y;
const SPACE = /[\t ]*/y;
const SEPARATORS = /[\t ,]*/y;

/** The first Bearer challenge of the header, or of several with commas between them; undefined: there is none. */
export function readChallenge(header: string): BearerChallenge | undefined {
  for (const { scheme, params } of challenges(header.slice(0, MOST_CHARS))) {
    if (scheme !== 'bearer') continue;
    const scope = params.get('scope');
    return {
      resourceMetadata: params.get('resource_metadata'),
      scopes: scope === undefined ? undefined : scopesOf(scope),
      error: params.get('error'),
    };
  }
  return undefined;
}

/** The scopes of a `scope` parameter (RFC 6749, 3.3), each once. Others than it allows are left out. */
export function scopesOf(text: string): string[] {
  return [...new Set(text.split(/\s+/))].filter((scope) => /^[\x21\x23-\x5b\x5d-\x7e]+$/.test(scope));
}

interface Challenge {
  readonly scheme: string;
  readonly params: ReadonlyMap<string, string>;
}

function* challenges(text: string): Generator<Challenge> {
  let at = 0;
  const take = (pattern: RegExp): RegExpExecArray | undefined => {
    pattern.lastIndex = at;
    const found = pattern.exec(text);
    if (!found) return undefined;
    at = pattern.lastIndex;
    return found;
  };
  let scheme: string | undefined;
  let params = new Map<string, string>();
  for (;;) {
    take(SEPARATORS);
    const token = take(TOKEN)?.[0];
    if (token === undefined) break;
    const before = at;
    take(SPACE);
    // A parameter of the scheme before.
    if (scheme !== undefined && text[at] === '=') {
      at++;
      take(SPACE);
      const value = take(QUOTED)?.[1]?.replace(/\\(.)/gs, '$1') ?? take(UNQUOTED)?.[0];
      if (value === undefined) break;
      const name = token.toLowerCase();
      if (!params.has(name)) params.set(name, value);
      continue;
    }
    if (scheme !== undefined) yield { scheme, params };
    scheme = token.toLowerCase();
    params = new Map();
    if (at > before) {
      const start = at;
      if (!take(TOKEN68)) at = start;
      // `Bearer realm` without `=` is the name of a further scheme, not a token.
      else if (take(SPACE) && text[at] === undefined) break;
    }
  }
  if (scheme !== undefined) yield { scheme, params };
}
