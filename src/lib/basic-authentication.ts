/**
 * The value of an Authorization header by which a client authenticates with a secret (RFC 6749, 2.3.1). Characters that are safe in a URL stay
 * as they are: some servers compare before they decode.
 */
export function basicAuthentication(id: string, secret: string): string {
  return `Basic ${Buffer.from(`${formEncoded(id)}:${formEncoded(secret)}`).toString('base64')}`;
}

function formEncoded(text: string): string {
  return new URLSearchParams([['', text]]).toString().slice(1);
}
