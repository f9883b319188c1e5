import { GatewayError } from '../../errors.js';
import { unlessAborted } from '../../lib/within.js';
import type { Credential } from '../../protocol/credential.js';

/** How long an attempt to connect waits for what it is to show, in ms. */
const READY_MS = 60_000;

/** Resolves once there is something to show to the server, or nothing is needed. Rejects with a GatewayError, or the reason of `signal`. */
export async function credentialReady(
  credential: Credential,
  server: string,
  signal: AbortSignal,
): Promise<void> {
  signal.throwIfAborted();
  const ended = new AbortController();
  const either = AbortSignal.any([signal, ended.signal]);
  const timer = setTimeout(() => {
    const text = `upstream '${server}' was not connected: no token for it within ${READY_MS} ms`;
    ended.abort(new GatewayError('upstream_auth_failed', text));
  }, READY_MS);
  try {
    await unlessAborted(credential.ready(either), either);
  } finally {
    clearTimeout(timer);
  }
}
