/** Why a request is refused, as OAuth says it (RFC 6749, 5.2). */

export type OAuthErrorCode =
  | 'access_denied'
  | 'invalid_client'
  | 'invalid_grant'
  | 'invalid_request'
  | 'invalid_scope'
  | 'invalid_target'
  | 'login_required'
  | 'request_not_supported'
  | 'request_uri_not_supported'
  | 'server_error'
  | 'temporarily_unavailable'
  | 'unsupported_grant_type'
  | 'unsupported_response_type'
  | 'unsupported_token_type';

export class OAuthProblem extends Error {
  readonly code: OAuthErrorCode;
  /** Seconds; undefined: another attempt does not help. */
  readonly retryAfter: number | undefined;
  /** Somebody guesses: it counts against his address. */
  readonly isGuess: boolean;

  /** `text`: for developers, in ASCII without quotes and backslashes. */
  constructor(
    code: OAuthErrorCode,
    text: string,
    options: { readonly retryAfter?: number; readonly isGuess?: boolean } = {},
  ) {
    super(text);
    this.name = 'OAuthProblem';
    this.code = code;
    this.retryAfter = options.retryAfter;
    this.isGuess = options.isGuess ?? false;
  }
}
