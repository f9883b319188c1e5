/** What servers send only to keep a connection open. */
import { isSpace } from '../../wire/scan.js';

/** Names of events without a message. */
export const KEEP_ALIVE_EVENTS: ReadonlySet<string> = new Set([
  'ping',
  'keepalive',
  'keep-alive',
  'heartbeat',
]);

/** Longest keep-alive that is not JSON, in bytes. */
export const MAX_KEEP_ALIVE = 64;

/** Whether a whole message is white space or `[DONE]`. */
export function isKeepAlive(whole: Buffer): boolean {
  if (whole.length > MAX_KEEP_ALIVE) return whole.every((c) => isSpace(c));
  const text = whole.toString('latin1').trim();
  return text === '' || text === '[DONE]';
}
