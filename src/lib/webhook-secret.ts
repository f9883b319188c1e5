/** The secret of a webhook, as Standard Webhooks writes it: `whsec_` and the bytes in base64. */

const PREFIX = 'whsec_';

/** The bytes of a secret; undefined: it is not one, or has fewer than 24 or more than 64 bytes. */
export function decodedSecret(text: string): Buffer | undefined {
  if (!text.startsWith(PREFIX)) return undefined;
  const encoded = text.slice(PREFIX.length);
  const bytes = Buffer.from(encoded, 'base64');
  const isWhole = bytes.toString('base64').replace(/=+$/, '') === encoded.replace(/=+$/, '');
  return isWhole && bytes.length >= 24 && bytes.length <= 64 ? bytes : undefined;
}
