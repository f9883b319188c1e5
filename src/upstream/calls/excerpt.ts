/** What a server sent, as part of an error text. */

/** Longest excerpt, in characters. */
const EXCERPT = 512;

/** The start of `bytes` on one line. */
export function excerpt(bytes: Buffer): string {
  const text = bytes
    .toString('utf8', 0, EXCERPT * 4)
    .replace(/\s+/g, ' ')
    .trim();
  return text.length > EXCERPT ? `${text.slice(0, EXCERPT)}...` : text;
}

/**
 * The same, as a clause behind the HTTP status. The error page of a proxy is quoted, since it may name the cause; other web pages are not.
 */
export function saying(bytes: Buffer, status: number): string {
  const text = excerpt(bytes);
  if (WEB_PAGE.test(text) && (status < 500 || status === 501)) return ` ${A_WEB_PAGE}`;
  return text && `: ${text}`;
}

export const A_WEB_PAGE = 'with a web page: is this URL an MCP endpoint?';
const WEB_PAGE = /^(?:<\?xml[^>]*> ?)?(?:<!--.*?--> ?)*<(?:!doctype html|html)\b/i;

export function noMessage(problem: string, bytes: Buffer): string {
  const clause = saying(bytes, 200);
  return clause.startsWith(' ')
    ? `answered${clause}`
    : `answered with an invalid JSON-RPC message (it ${problem})${clause}`;
}
