import type { Terminal } from '../terminal/terminal.js';
import { printable, Refusal } from '../terminal/explain.js';
import { exchange, gatewayAddress } from './gateway-request.js';

const TIMEOUT_MS = 5000;
const BODY_BYTES = 65_536;

/** Requests `GET /ready`. Returns 0 if the gateway answers 200, otherwise throws. */
export async function health(
  url: string | undefined,
  config: string | undefined,
  terminal: Terminal,
): Promise<number> {
  let unread: string | undefined;
  const address = gatewayAddress({ url, config }, terminal.env, (why) => (unread = why));
  const { href } = new URL('/ready', address.url);
  // Another gateway may answer at the default address.
  if (unread !== undefined) terminal.err(printable(`warning: ${unread}; asking ${href}\n`));
  const request = { path: '/ready', timeoutMs: TIMEOUT_MS, bodyBytes: BODY_BYTES };
  const { status, body } = await exchange(address, request).catch((error: unknown) => {
    throw new Refusal(`not ready: ${href}: ${(error as Error).message}`);
  });
  if (status === 200) {
    terminal.out('ready\n');
    return 0;
  }
  throw new Refusal(`not ready: ${href} answered ${status} ${body.replace(/[\s\p{Cc}]+/gu, ' ')}`.trimEnd());
}
