/** What follows when a server refuses the credential of a request: another one is obtained, and the request is sent again. */
import type { HttpServerConfig } from '../../config/types.js';
import { GatewayError } from '../../errors.js';
import { readChallenge } from '../../protocol/challenge.js';
import type { Credential, CredentialRefusal } from '../../protocol/credential.js';
import type { CallOwner, TransportEvents } from '../calls/calls.js';
import type { Headers } from './http.js';

/** How often one request is sent again for this. */
const MOST_TIMES = 2;

/** A request with a credential, as it was sent. */
export interface Sent {
  readonly status: number;
  readonly headers: Headers;
  /** `Credential.stamp` of its headers. */
  readonly stamp: number;
  /** How often it was refused before. */
  readonly times: number;
}

export interface Shown {
  readonly credential: Credential | undefined;
  readonly config: HttpServerConfig;
  readonly owner: CallOwner;
  readonly events: TransportEvents;
}

export interface AfterRefusal {
  /** Nobody waits for its answer any more: nothing of the rest is called. */
  isOver(): boolean;
  /** The request is to be sent again. */
  again(): void;
  failed(error: GatewayError): void;
  /** There is nothing else to show: the refusal counts as that of any request. */
  usual(): void;
}

/**
 * Asks for another credential. Returns false if the refusal is not about the credential, or there is none: then nothing of `after` is
 * called. A server may have begun nothing that it refuses to authorize: any method can be sent again.
 */
export function askAgain(http: Shown, sent: Sent, after: AfterRefusal): boolean {
  const { credential } = http;
  if (credential === undefined) return false;
  const refusal = refusalOf(sent);
  if (refusal === undefined) return false;
  const settled = settle(credential, http, refusal, after);
  http.owner.boundary.detach('answer', settled, (error) => {
    after.failed(error);
  });
  return true;
}

async function settle(
  credential: Credential,
  { config, events, owner }: Shown,
  refusal: CredentialRefusal,
  after: AfterRefusal,
): Promise<void> {
  try {
    await credential.refused(refusal);
  } catch (error) {
    const isOver = after.isOver();
    if (!(error instanceof GatewayError)) {
      owner.log.debug('no other credential was obtained', { server: config.name, error: String(error) });
      if (!isOver) after.usual();
    } else if (isUndiscovered(error) && config.auth.type === 'auto') {
      if (!isOver) after.usual();
    } else {
      if (!isOver) after.failed(error);
      if (error.code === 'login_required' && refusal.status === 401) events.unauthorized(error);
    }
    return;
  }
  if (after.isOver()) return;
  if (refusal.times >= MOST_TIMES || credential.stamp === refusal.stamp) return after.usual();
  owner.log.debug('a request is sent again with another credential', { server: config.name });
  after.again();
}

function refusalOf({ status, headers, stamp, times }: Sent): CredentialRefusal | undefined {
  if (status !== 401 && status !== 403) return undefined;
  const value = headers['www-authenticate'];
  const challenge = Array.isArray(value) ? value.join(', ') : (value ?? '');
  // RFC 6750, 3.1: any other 403 is not about the credential.
  if (status === 403 && readChallenge(challenge)?.error !== 'insufficient_scope') return undefined;
  return { status, challenge, stamp, times };
}

/** The server is one that takes no login, as far as it says. */
function isUndiscovered({ code, data }: GatewayError): boolean {
  return (
    code === 'upstream_auth_failed' && (data as { undiscovered?: unknown } | undefined)?.undiscovered === true
  );
}
