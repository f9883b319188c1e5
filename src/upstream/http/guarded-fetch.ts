/**
 * Requests to addresses that a server, or a document it leads to, has named: they must not reach what only this machine can reach. An address
 * is judged when its socket is made, so that a name cannot change between the check and the connection.
 */
import { lookup, type LookupAddress, type LookupAllOptions } from 'node:dns';
import { BlockList, isIP, type LookupFunction } from 'node:net';
import { isLoopback } from '../../config/index.js';
import type { Logger } from '../../observe/log.js';
import {
  GuardError,
  type Guard,
  type GuardedAnswer,
  type GuardedFetch,
} from '../../protocol/small-request.js';
import { createDispatcher, type Endpoint } from './dispatcher.js';
import { exchange, proxyFor } from './fetch-json.js';
import { header } from './http.js';

const CONNECT_MS = 5000;
const MOST_REDIRECTS = 3;

/** Special-purpose addresses (IANA registries of RFC 6890), and multicast. */
const SPECIAL = blockList([
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 3],
]);
/** The part of IPv6 that is assigned to the public Internet. */
const GLOBAL6 = blockList([['2000::', 3]]);
/** What is special in it; the addresses of tunnels contain IPv4 addresses that are not looked at. */
const SPECIAL6 = blockList([
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['3fff::', 20],
]);

function blockList(nets: readonly (readonly [address: string, bits: number])[]): BlockList {
  const list = new BlockList();
  for (const [address, bits] of nets) list.addSubnet(address, bits, isIP(address) === 6 ? 'ipv6' : 'ipv4');
  return list;
}

/** The address as IPv4 where it is one in IPv6 form. `::ffff:a00:1` too: `URL` writes them so. */
function unmapped(address: string): string {
  const dotted = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (dotted !== undefined) return dotted;
  const [, high, low] = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/i.exec(address) ?? [];
  if (high === undefined || low === undefined) return address;
  const [a, b] = [parseInt(high, 16), parseInt(low, 16)];
  return [a >> 8, a & 255, b >> 8, b & 255].join('.');
}

function withoutZone(address: string): string {
  return address.replace(/%.*$/, '');
}

/** Whether an address belongs to no network of the public Internet. */
export function isSpecial(address: string): boolean {
  const plain = unmapped(withoutZone(address));
  if (isIP(plain) === 4) return SPECIAL.check(plain, 'ipv4');
  return !GLOBAL6.check(plain, 'ipv6') || SPECIAL6.check(plain, 'ipv6');
}

function hostOf(url: URL): string {
  return url.hostname.replace(/^\[|\]$/g, '');
}

/** Throws a GuardError. */
function judge(address: string, url: URL, guard: Guard): void {
  const { host, protocol } = url;
  const isLocal = isLoopback(withoutZone(address));
  if (isSpecial(address) && !(guard.isLoopback && isLocal))
    throw new GuardError('private', host, `'${host}' is a private address`);
  // A name below localhost may be another machine's.
  if (protocol !== 'https:' && !isLocal)
    throw new GuardError('insecure', host, `http://${host} is not https`);
}

/** Whether the configuration names this origin or host. */
function isExempt(url: URL, { origins, allowHosts }: Guard): boolean {
  // `URL` leaves out the port that the scheme implies.
  const port = url.port || (url.protocol === 'https:' ? '443' : '80');
  return (
    origins.has(url.origin) ||
    allowHosts.includes(url.hostname) ||
    allowHosts.includes(`${url.hostname}:${port}`)
  );
}

/** Judges what can be judged without a connection. Throws a GuardError. */
function check(url: URL, guard: Guard): void {
  const host = hostOf(url);
  if (url.username !== '' || url.password !== '')
    throw new GuardError('insecure', url.host, `'${url.host}' is named with a user`);
  const isLocal =
    host === 'localhost' || host.endsWith('.localhost') || (isIP(host) !== 0 && isLoopback(host));
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && guard.isLoopback && isLocal))
    throw new GuardError('insecure', url.host || url.protocol, `${url.protocol}//${url.host} is not https`);
  if (isIP(host) !== 0 && !isExempt(url, guard)) judge(host, url, guard);
}

/** All addresses of a name: `lookup` of node:dns. */
export type Resolve = (
  hostname: string,
  options: LookupAllOptions,
  callback: (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void,
) => void;

/** Resolves a name, and refuses it if one of its addresses is not allowed. */
function judging(url: URL, guard: Guard, resolve: Resolve): LookupFunction {
  return (hostname, options, callback) => {
    resolve(hostname, { ...options, all: true }, (error, addresses) => {
      if (error) return callback(error, '', 0);
      try {
        for (const { address } of addresses) judge(address, url, guard);
      } catch (refused) {
        return callback(refused as Error, '', 0);
      }
      const [first] = addresses;
      if (options.all === true) callback(null, addresses);
      else callback(null, first?.address ?? '', first?.family ?? 0);
    });
  };
}

/**
 * Resolves a name for a request through a proxy and judges its addresses. Rejects with a GuardError, or with an Error if the name does not
 * resolve in time or `signal` aborts. A lookup of the system cannot be stopped: its answer is dropped.
 */
function resolved(
  url: URL,
  guard: Guard,
  resolve: Resolve,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<void> {
  return new Promise((done, reject) => {
    const over = (settle: () => void): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', aborted);
      settle();
    };
    const fail = (error: Error): void => {
      over(() => {
        reject(error);
      });
    };
    const aborted = (): void => {
      fail(new Error('aborted', { cause: signal.reason }));
    };
    const timer = setTimeout(() => {
      fail(new Error(`no answer within ${timeoutMs} ms`));
    }, timeoutMs);
    signal.addEventListener('abort', aborted, { once: true });
    if (signal.aborted) return aborted();
    judging(url, guard, resolve)(hostOf(url), { all: true }, (error, addresses) => {
      if (error instanceof GuardError) return fail(error);
      if (error || addresses.length === 0) return fail(new Error(`cannot resolve host ${url.hostname}`));
      over(done);
    });
  });
}

/** `env`: names proxies and certificates, as for servers. */
export function createGuardedFetch(
  env: NodeJS.ProcessEnv,
  log: Logger,
  resolve: Resolve = lookup,
): GuardedFetch {
  return async (request, guard, signal) => {
    const deadline = performance.now() + request.timeoutMs;
    let url = new URL(request.url);
    for (let redirects = 0; ; redirects++) {
      const answer = await send(url);
      const location = header(answer.headers, 'location');
      if (request.method !== 'GET' || answer.status < 300 || answer.status >= 400 || location === '')
        return answer;
      const next = URL.canParse(location, url.href) ? new URL(location, url) : undefined;
      const most = guard.redirects ?? MOST_REDIRECTS;
      if (most === 0) throw new GuardError('redirect', url.host, `'${url.host}' redirects`);
      if (next?.origin !== url.origin || redirects >= most)
        throw new GuardError(
          'redirect',
          url.host,
          `'${url.host}' redirects ${next?.origin === url.origin ? 'too often' : 'to another origin'}`,
        );
      url = next;
    }

    function timeLeft(): number {
      const left = deadline - performance.now();
      if (left <= 0) throw new Error(`no answer within ${request.timeoutMs} ms`);
      return Math.ceil(left);
    }

    async function send(to: URL): Promise<GuardedAnswer> {
      check(to, guard);
      const proxy = proxyFor(to, env);
      const isFree = isExempt(to, guard);
      if (proxy !== undefined && guard.resolvesBehindProxy === true && !isFree && isIP(hostOf(to)) === 0)
        await resolved(to, guard, resolve, timeLeft(), signal);
      const timeoutMs = timeLeft();
      const server: Endpoint = {
        name: to.host,
        url: to.href,
        tls: guard.caFile === undefined ? {} : { ca_file: guard.caFile },
        tls_skip_verify: false,
        timeouts: { connect_ms: Math.min(CONNECT_MS, timeoutMs) },
        ...(proxy === undefined ? {} : { proxy }),
      };
      // Connections are not kept: another request may have another guard.
      const dispatcher = createDispatcher(server, {
        logger: log,
        environment: env,
        ...(isFree ? {} : { lookup: judging(to, guard, resolve) }),
      });
      try {
        return await exchange(dispatcher, to, { ...request, timeoutMs }, signal);
      } catch (error) {
        throw refusalIn(error) ?? error;
      } finally {
        dispatcher.destroy(new Error('done'));
      }
    }
  };
}

/** The GuardError that a connection failed with, of one or of several addresses. */
function refusalIn(error: unknown): GuardError | undefined {
  for (
    let cause: unknown = error, depth = 0;
    cause instanceof Error && depth < 8;
    cause = cause.cause, depth++
  ) {
    if (cause instanceof GuardError) return cause;
    if (cause instanceof AggregateError)
      for (const each of cause.errors) if (each instanceof GuardError) return each;
  }
  return undefined;
}
