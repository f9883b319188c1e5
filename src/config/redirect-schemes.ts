/** The schemes that no application can have its answers at. */

/** What browsers interpret themselves, or what opens something else than an application of its own. */
const FORBIDDEN: ReadonlySet<string> = new Set([
  'about:',
  'blob:',
  'chrome:',
  'data:',
  'edge:',
  'feed:',
  'file:',
  'filesystem:',
  'ftp:',
  'intent:',
  'jar:',
  'javascript:',
  'jscript:',
  'livescript:',
  'mailto:',
  'mhtml:',
  'ms-msdt:',
  'res:',
  'resource:',
  'search-ms:',
  'shell:',
  'sms:',
  'tel:',
  'vbs:',
  'vbscript:',
  'view-source:',
  'ws:',
  'wss:',
]);

/** Whether a scheme such as `javascript:` is never allowed in a redirect URI, whatever the configuration says. */
export function isForbiddenScheme(scheme: string): boolean {
  return FORBIDDEN.has(scheme.toLowerCase());
}
