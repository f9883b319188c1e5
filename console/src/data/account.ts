/**
 * The console's own sign-in, where the gateway signs people in (`mcp.auth.login`): OAuth 2.1 with S256. The page `/-/signed-in` exchanges the
 * code. The tokens are in the sessionStorage of this tab alone.
 */
const STORED = 'mcpstead.tokens';
/** Read by the page `/-/signed-in`. */
const BEGUN = 'mcpstead.signing-in';
const CLIENT = 'console';
const TIMEOUT_MS = 60_000;
/** `http.public_url` with a slash at its end, where the console is served there. */
const BASE = new URL('../../', location.href.replace(/[?#].*$/, '')).href;

export interface Tokens {
  readonly access: string;
  readonly refresh: string;
  /** When to renew the access token: Unix time in ms, by this machine's clock. */
  readonly renew: number;
}

export function storedTokens(): Tokens | null {
  try {
    const { access, refresh, renew } = JSON.parse(sessionStorage.getItem(STORED) ?? '{}') as Partial<Tokens>;
    if (typeof access !== 'string' || typeof refresh !== 'string' || typeof renew !== 'number') return null;
    return { access, refresh, renew };
  } catch {
    return null;
  }
}

export function storeTokens(tokens: Tokens | null): void {
  if (tokens === null) sessionStorage.removeItem(STORED);
  else sessionStorage.setItem(STORED, JSON.stringify(tokens));
}

/** The gateway as an authorization server (RFC 8414); null: it signs nobody in at this address. */
export async function issuerHere(): Promise<string | null> {
  try {
    const response = await fetch(`${BASE}.well-known/oauth-authorization-server`, {
      signal: AbortSignal.timeout(TIMEOUT_MS),
      credentials: 'omit',
      cache: 'no-store',
    });
    if (!response.ok) return null;
    const { issuer } = (await response.json()) as { issuer?: unknown };
    return typeof issuer === 'string' && `${issuer}/` === BASE ? issuer : null;
  } catch {
    return null;
  }
}

/** Leaves the page for the sign-in. It comes back to the screen that is open. */
export async function beginSignIn(issuer: string): Promise<void> {
  const state = written(crypto.getRandomValues(new Uint8Array(16)));
  const verifier = written(crypto.getRandomValues(new Uint8Array(32)));
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(verifier));
  const back = `console/${location.search}${location.hash}`;
  sessionStorage.setItem(BEGUN, JSON.stringify({ state, verifier, issuer, back }));
  const request = new URLSearchParams({
    response_type: 'code',
    client_id: CLIENT,
    redirect_uri: `${BASE}-/signed-in`,
    resource: `${BASE}-/`,
    state,
    code_challenge: written(new Uint8Array(digest)),
    code_challenge_method: 'S256',
  });
  location.assign(`${BASE}oauth/authorize?${request.toString()}`);
}

/** The next tokens; `ended`: the sign-in is over; `away`: nobody can tell now. Never rejects. */
export async function renewedTokens({ refresh }: Tokens): Promise<Tokens | 'ended' | 'away'> {
  try {
    const response = await fetch(`${BASE}oauth/token`, {
      ...formOf({ grant_type: 'refresh_token', refresh_token: refresh, client_id: CLIENT }),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    if (response.status === 429 || response.status >= 500) return 'away';
    if (!response.ok) return 'ended';
    const told = (await response.json()) as {
      access_token: string;
      refresh_token: string;
      expires_in: number;
    };
    // A fifth of its life is left for tries.
    return {
      access: told.access_token,
      refresh: told.refresh_token,
      renew: Date.now() + told.expires_in * 800,
    };
  } catch {
    return 'away';
  }
}

/** Ends the sign-in. */
export function revoke({ refresh }: Tokens): void {
  void fetch(`${BASE}oauth/revoke`, {
    ...formOf({ token: refresh, client_id: CLIENT }),
    keepalive: true,
  }).catch(() => undefined);
}

/** The sign-in that an access token is of. */
export function grantOf({ access }: Tokens): string | null {
  try {
    const claims = (access.split('.')[1] ?? '').replaceAll('-', '+').replaceAll('_', '/');
    const { grant } = JSON.parse(atob(claims)) as { grant?: unknown };
    return typeof grant === 'string' ? grant : null;
  } catch {
    return null;
  }
}

function formOf(fields: Readonly<Record<string, string>>): RequestInit {
  return {
    method: 'POST',
    body: new URLSearchParams(fields),
    credentials: 'omit',
    cache: 'no-store',
    redirect: 'error',
  };
}

/** base64url */
function written(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replaceAll('=', '');
}
