import { GatewayError } from '../../errors.js';
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
    await new Promise<void>((resolve, reject) => {
      either.addEventListener('abort', () => reject(either.reason as Error), { once: true });
      credential.ready(either).then(resolve, reject);
    });
  } finally {
    clearTimeout(timer);
  }
}
