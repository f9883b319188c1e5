import { hash } from 'node:crypto';

/** SHA-256 in base64url, 43 characters. A text counts as UTF-8. */
export function sha256(data: string | Uint8Array): string {
  return hash('sha256', data, 'base64url');
}
