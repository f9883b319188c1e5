/** The console key: it makes its holder an operator of the gateway, and opens nothing else. */
import { hkdfSync, randomBytes } from 'node:crypto';

const PREFIX = 'mcpo_';
const FORM = /^mcpo_[A-Za-z0-9_-]{43}$/;
const KEY_BYTES = 32;
/** The name of its file in the state folder. */
export const CONSOLE_KEY_FILE = 'console.key';

export function createConsoleKey(): string {
  return PREFIX + randomBytes(KEY_BYTES).toString('base64url');
}

/** The console key of all replicas that share a state key. */
export function deriveConsoleKey(stateKey: Buffer): string {
  const bytes = Buffer.from(hkdfSync('sha256', stateKey, '', 'mcpstead console key', KEY_BYTES));
  return PREFIX + bytes.toString('base64url');
}

export function isConsoleKey(text: string): boolean {
  return FORM.test(text);
}

/** Whether a credential is meant as a console key. */
export function hasConsoleKeyForm(token: string): boolean {
  return token.startsWith(PREFIX);
}
