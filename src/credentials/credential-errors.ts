/** What a call is answered when there is no token for it. */
import { GatewayError } from '../errors.js';
import type { BearerChallenge } from '../protocol/challenge.js';
import { CredentialProblem, shown } from './problem.js';

/** How long a server that refuses a fresh token is left alone, and one whose authorization server is wrong, in seconds. */
export const REFUSED_S = 60;
/** How long a server waits for the state of the gateway, in seconds: the store of a fleet may be there in a moment. */
const STATE_S = 2;

export function freshRefused(server: string): GatewayError {
  return new GatewayError(
    'upstream_auth_failed',
    `upstream '${server}' refuses a token that it was just given`,
    { status: 401, retryAfter: REFUSED_S },
  );
}

/** `wanted`: what the server names; empty: nothing. */
export function scopeRefused(server: string, wanted: readonly string[], isGranted: boolean): GatewayError {
  const scope = wanted.length === 0 ? 'another scope' : `the scope ${wanted.map(shown).join(' ')}`;
  return new GatewayError(
    'upstream_auth_failed',
    `upstream '${server}' wants ${scope}, which it was ${isGranted ? '' : 'not '}granted`,
    { status: 403 },
  );
}

/** An HTTP 403 that is not about scopes. */
export function forbidden(server: string): GatewayError {
  return new GatewayError('upstream_auth_failed', `upstream '${server}' refuses the request: HTTP 403`, {
    status: 403,
  });
}

/** The scopes that a token lacks, by the challenge of an HTTP 403; empty: the server names none. Throws if it has them all, or needs none. */
export function lackingScopes(
  server: string,
  challenge: BearerChallenge | undefined,
  granted: readonly string[],
): readonly string[] {
  if (challenge?.error !== 'insufficient_scope' && challenge?.scopes === undefined) throw forbidden(server);
  const wanted = challenge.scopes ?? [];
  const lacking = wanted.filter((scope) => !granted.includes(scope));
  if (wanted.length > 0 && lacking.length === 0) throw scopeRefused(server, wanted, true);
  return lacking;
}

/** `retryMs`: when it may work, as far as that is known. */
export function authFailed(
  server: string,
  error: unknown,
  { hasGrant, retryMs }: { readonly hasGrant: boolean; readonly retryMs: number },
): GatewayError {
  if (error instanceof GatewayError) return error;
  const problem = problemOf(error);
  const text =
    problem.kind === 'temporary' && hasGrant
      ? `its authorization server does not answer (${problem.message})`
      : problem.message;
  const usual = error instanceof CredentialProblem ? REFUSED_S : STATE_S;
  return new GatewayError('upstream_auth_failed', `upstream '${server}' ${text}`, {
    retryAfter: retryMs > 0 ? Math.ceil(retryMs / 1000) : usual,
    ...(problem.code === 'no_metadata' && { undiscovered: true }),
  });
}

/** What is no CredentialProblem may pass: a state that cannot be read, a command that fails. */
export function problemOf(error: unknown): CredentialProblem {
  if (error instanceof CredentialProblem) return error;
  const text = shown(error instanceof Error ? error.message : String(error));
  return new CredentialProblem('temporary', text, { cause: error });
}
