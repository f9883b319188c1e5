/** Names of request headers that the configuration, and what it names, may set. */

const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}$/;
/** Headers of the connection, of the message and of the protocol. */
const OWN = new Set([
  'accept',
  'accept-encoding',
  'connection',
  'content-encoding',
  'content-length',
  'content-type',
  'expect',
  'host',
  'keep-alive',
  'last-event-id',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** Whether a header, its name in lower case, can be set for a server: others belong to the gateway. */
export function isSettableHeader(lower: string): boolean {
  return TOKEN.test(lower) && !OWN.has(lower) && !/^(mcp|proxy)-/.test(lower);
}
