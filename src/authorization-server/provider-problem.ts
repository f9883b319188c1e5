/** Why the identity provider gave no answer that counts. */

/**
 * `denied`: the person said no, or the identity provider wants to ask the person something first. `login`: what came back is not the answer to
 * this sign-in, or its code does not count any more: another attempt may work. `ended`: a refresh token does not count any more, or its
 * answer is about somebody else. `identity`: userinfo is about somebody else. `away`: it may work in a moment. `config`: it stays so until
 * the configuration, or the identity provider, changes.
 */
export type ProviderProblemKind = 'denied' | 'login' | 'ended' | 'identity' | 'away' | 'config';

/** The message says what is wrong and what helps, for operators; it holds no secret, no token and no body. */
export class ProviderProblem extends Error {
  readonly kind: ProviderProblemKind;
  /** Host and port that were asked; for an answer that came with a browser those of the issuer. */
  readonly host: string;
  /** `error` of OAuth (RFC 6749, 4.1.2.1 and 5.2), at most 128 characters of visible ASCII. */
  readonly code: string | undefined;
  /** Seconds that the identity provider asked to wait. */
  readonly retryAfter: number | undefined;

  constructor(
    kind: ProviderProblemKind,
    host: string,
    message: string,
    more: { readonly code?: string | undefined; readonly retryAfter?: number | undefined } = {},
  ) {
    super(message);
    this.name = 'ProviderProblem';
    this.kind = kind;
    this.host = host;
    this.code = more.code;
    this.retryAfter = more.retryAfter;
  }
}

const MOST_CHARACTERS = 128;

/** Text of a peer as a log may show it: short, in visible ASCII. */
export function visible(text: string, most = MOST_CHARACTERS): string {
  return text
    .slice(0, 4 * most)
    .replace(/[^\x21-\x7e]+/g, ' ')
    .trim()
    .slice(0, most);
}

/** The identity provider wants the person, or the person does not want (OpenID Connect Core, 3.1.2.6). */
const DENIALS: ReadonlySet<string> = new Set([
  'access_denied',
  'account_selection_required',
  'consent_required',
  'interaction_required',
  'login_required',
]);
const PASSING: ReadonlySet<string> = new Set(['server_error', 'temporarily_unavailable']);

/** `code`: the error in the answer that came with a browser, as `visible` text. */
export function refusedSignIn(host: string, code: string): ProviderProblem {
  if (DENIALS.has(code))
    return new ProviderProblem('denied', host, `${host} did not sign the person in (${code})`, { code });
  if (PASSING.has(code))
    return new ProviderProblem('away', host, `${host} cannot sign people in now: ${code}`, { code });
  return new ProviderProblem(
    'config',
    host,
    `${host} refuses the sign-in (${code}): compare scopes and params of mcp.auth.login with the client there`,
    { code },
  );
}

/** `code`: the error of a request without a browser, as `visible` text. */
export function refusedRequest(
  host: string,
  what: 'code' | 'refresh' | 'other',
  code: string,
): ProviderProblem {
  const problem = (kind: ProviderProblemKind, text: string): ProviderProblem =>
    new ProviderProblem(kind, host, `${host} ${text}`, { code });
  if (PASSING.has(code)) return problem('away', `cannot answer now: ${code}`);
  if (what === 'refresh' && (code === 'invalid_grant' || DENIALS.has(code)))
    return problem('ended', `refuses the refresh token (${code}): the person has to sign in again`);
  if (what === 'code' && code === 'invalid_grant')
    return problem(
      'login',
      'refuses the code (invalid_grant): it was used, is too old, or is of another sign-in',
    );
  if (what === 'code' && DENIALS.has(code)) return problem('denied', `refuses the code (${code})`);
  if (code === 'invalid_client' || code === 'unauthorized_client')
    return problem(
      'config',
      `refuses the client (${code}): check client_id and client secret of mcp.auth.login, and what the client may do there`,
    );
  return problem(
    'config',
    `refuses the request (${code}): compare mcp.auth.login with the client there, such as its redirect URI and grants`,
  );
}
