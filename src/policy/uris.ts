/** URIs that every server reads in the same way. */

/** Schemes whose host is the same in lower and upper case (WHATWG URL, "special schemes"). */
const SPECIAL = /^(?:file|ftp|https?|wss?):\/\/[^/?#]*/i;

/**
 * Whether a URI has one reading only, so that a rule about its text is about the resource: no dot segments, backslashes or control characters,
 * no spaces at its ends, scheme and host in lower case, and no character encoded that needs no encoding, nor a slash or backslash
 * (RFC 3986, 6.2.2).
 */
export function isPlainUri(uri: string): boolean {
  if (uri !== uri.trim() || UNREADABLE.test(uri)) return false;
  const head = (SPECIAL.exec(uri) ?? /^[A-Za-z][A-Za-z0-9+.-]*:/.exec(uri))?.[0] ?? '';
  if (head !== head.toLowerCase()) return false;
  // Some servers take what follows the scheme as a path, with the query; others cut parameters off each segment.
  if (/(?:^|[/:?#])\.{1,2}(?:[/?#;]|$)/.test(uri)) return false;
  for (const [, hex = ''] of uri.matchAll(/%([0-9a-fA-F]{2})?/g)) {
    if (hex === '') return false;
    const code = parseInt(hex, 16);
    if (code < 0x20 || code === 0x7f || NEEDS_NO_ENCODING.test(String.fromCharCode(code))) return false;
  }
  return true;
}

const UNREADABLE = /[\\\u0000-\u001f\u007f]/;
/** The unreserved characters, and the two that separate segments. */
const NEEDS_NO_ENCODING = /^[A-Za-z0-9\-._~/\\]$/;
