/** `headers_from_client` of a server: the headers of clients that it gets, by the names that it gets them under. */
import { isLoopbackHost } from './credentials.js';
import type { Findings } from './problems.js';
import type { Scope } from './scope.js';
import type { ServerValues } from './schema.js';
import type { Config, PassedHeader, ServerConfig } from './types.js';

const NAME = /^[!#$%&'*+.^_`|~0-9a-z-]+$/;
/** What says who the client is to the gateway, or belongs to the connection. */
const NEVER_FROM = new Set(['authorization', 'cookie', 'proxy-authorization', 'host', 'origin', 'forwarded']);
/** What the gateway sets itself. */
const NEVER_TO = new Set([
  'accept',
  'accept-encoding',
  'connection',
  'expect',
  'host',
  'keep-alive',
  'last-event-id',
]);
const OF_PROTOCOL = /^(?:mcp-|content-|proxy-|sec-|x-forwarded-|te$|trailer$|transfer-encoding$|upgrade$)/;
const MOST = 8;

/** `url`: that of the server, if it is one. `isNamed`: whether the entry has a header of this name, in lower case. */
export function headersFromClient(
  written: ServerValues,
  url: URL | undefined,
  isNamed: (lower: string) => boolean,
  scope: Scope,
): readonly PassedHeader[] {
  const pairs = Object.entries(written.headers_from_client);
  if (pairs.length === 0) return [];
  const wrong = (why: string, fix?: string, ...key: string[]): void => {
    scope.wrong('', ['headers_from_client', ...key], why, fix);
  };
  const { auth } = written;
  if (written.session === 'per-client')
    wrong(
      'is there beside session: per-client',
      'session: shared: clients with the same values share a connection',
    );
  if (pairs.length > MOST) wrong(`has more than ${MOST} headers`);
  if (url && url.protocol !== 'https:' && !isLoopbackHost(url.hostname))
    wrong('needs an https url, or one of a loopback address: the values are secrets of clients');
  if (auth.type === 'oauth' || auth.type === 'key' || written.headers_command.length > 0)
    wrong(
      `is there beside ${auth.type === 'auto' ? 'headers_command' : `auth of the type ${auth.type}`}`,
      'keep one of them',
    );
  if (auth.token_file !== undefined || auth.token_command.length > 0)
    wrong('is there beside a token that changes', 'token_env, or keep one of them');
  const passed = pairs.map(([from, to]) => ({ from: from.toLowerCase(), to: to.toLowerCase() }));
  for (const { from, to } of passed) {
    if (!NAME.test(from) || NEVER_FROM.has(from) || OF_PROTOCOL.test(from))
      wrong('is a header of clients that no server gets', 'x-upstream-token: authorization', from);
    if (!NAME.test(to) || NEVER_TO.has(to) || OF_PROTOCOL.test(to))
      wrong(`'${to}' is a header that the gateway sets itself`, undefined, from);
    else if (isNamed(to) || (to === 'authorization' && auth.type === 'bearer'))
      wrong(`'${to}' is a header of the entry already`, 'keep one of them', from);
  }
  if (new Set(passed.map(({ to }) => to)).size < passed.length) wrong('names a header of the server twice');
  scope.warn(
    ['headers_from_client'],
    `the server gets ${passed.map(({ from }) => from).join(', ')} of each client: it can use the value as that client`,
  );
  return passed;
}

/** The headers of clients that a server gets. */
export function passedTo(server: ServerConfig): readonly PassedHeader[] {
  return (server.kind === 'http' && server.headers_from_client) || [];
}

/** What the gateway authenticates clients by stays with it. */
export function checkPassed({ servers, mcp }: Pick<Config, 'servers' | 'mcp'>, findings: Findings): void {
  const { user, groups } = mcp.auth.proxy ?? {};
  for (const server of servers)
    for (const { from } of passedTo(server))
      if (from === user || from === groups)
        findings.problem(
          ['mcp', 'auth', 'proxy'],
          `headers_from_client of the server '${server.name}' (${server.where}) passes on '${from}', which says who a client is`,
        );
}
