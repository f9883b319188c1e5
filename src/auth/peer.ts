/** What the connection says about a client: its address, the user that a proxy in front names, its certificate. */
import { BlockList, isIP, isIPv4 } from 'node:net';
import { isDeepStrictEqual } from 'node:util';
import { networkOf, type AuthConfig } from '../config/index.js';
import { bounded } from '../lib/bounded.js';
import type { AuthFailureReason } from '../observe/stats.js';
import type { Principal, Shown } from '../protocol/ports.js';
import { fingerprint } from './fingerprint.js';
import { isRepeated } from './headers.js';

const MOST_GROUPS = 200;
/** Hops of X-Forwarded-For that are read, from the last one. */
const MOST_HOPS = 32;
/** How many users of a proxy are remembered, so that they keep their principals. */
const MOST_USERS = 4096;

export interface Peer {
  /** The address that wrong credentials are counted by: IPv4, or the first 64 bits of IPv6; behind a listed proxy that of its client. */
  address(shown: Shown): string;
  /** The user that a listed proxy names; undefined: none. */
  user(shown: Shown): Principal | AuthFailureReason | undefined;
  /** The holder of a verified certificate; undefined: none was shown. */
  holder(shown: Shown, now: number): Principal | AuthFailureReason | undefined;
  /** The principal as the configuration has it now; undefined: its proxy is not listed any more, or the CA of its certificate is another. */
  current(principal: Principal): Principal | undefined;
}

/**
 * `authorities`: what identifies the CAs of client certificates, undefined without them. Throws an Error that names an address which cannot
 * be read.
 */
export function createPeer({ proxy, client_cert }: AuthConfig, authorities: string | undefined): Peer {
  const listed = new BlockList();
  for (const entry of proxy?.addresses ?? []) {
    const range = networkOf(entry);
    if (!range)
      throw new Error(
        `mcp.auth.proxy.addresses: '${entry.slice(0, 64)}' is not an address or a range: write 10.1.2.3 or 10.1.0.0/16`,
      );
    listed.addSubnet(range.address, range.bits, range.family);
  }
  const isListed = (address: string): boolean =>
    proxy !== undefined && isIP(address) !== 0 && listed.check(address, isIPv4(address) ? 'ipv4' : 'ipv6');
  const users = new Map<string, Principal>();
  const holders = new WeakMap<object, Principal | AuthFailureReason>();
  const authority = authorities === undefined ? '' : fingerprint(authorities);

  const ownerOf = (name: string): string | undefined =>
    client_cert?.owners && Object.hasOwn(client_cert.owners, name) ? client_cert.owners[name] : undefined;

  function userOf(shown: Shown, user: string, address: string): Principal | AuthFailureReason {
    const name = readable(user);
    if (name === undefined) return 'bad_proxy';
    const sent = proxy?.groups === undefined ? undefined : single(shown, proxy.groups);
    const groups = sent === undefined ? [] : sent === null ? undefined : groupsOf(sent);
    if (groups === undefined) return 'bad_proxy';
    const key = JSON.stringify([name, address, groups]);
    let principal = users.get(key);
    if (principal === undefined) {
      if (users.size >= MOST_USERS) users.delete(users.keys().next().value as string);
      users.set(
        key,
        (principal = {
          ...{ id: `proxy:${name}`, kind: 'proxy', name, groups, scopes: [], claims: {} },
          credential: address,
          expires: undefined,
        }),
      );
    }
    return principal;
  }

  function holderOf({ socket }: Shown): Principal | AuthFailureReason | undefined {
    const certificate = socket.getPeerCertificate?.();
    if (!client_cert || certificate?.fingerprint256 === undefined) return undefined;
    const name =
      client_cert.id === 'cn'
        ? commonName(certificate.subject?.CN)
        : alternativeName(certificate.subjectaltname ?? '', SAN_TYPES[client_cert.id]);
    const usable = name === undefined ? undefined : bounded(name);
    if (usable === undefined) return 'bad_format';
    const expires = Date.parse(certificate.valid_to ?? '');
    if (Number.isNaN(expires)) return 'bad_format';
    const owner = ownerOf(usable);
    return {
      ...{
        id: `cert:${usable}`,
        kind: 'cert',
        name: usable,
        groups: client_cert.groups,
        scopes: [],
        claims: {},
      },
      ...(owner === undefined ? {} : { owner }),
      credential: `${authority}.${fingerprint(certificate.fingerprint256)}`,
      expires,
    };
  }

  return {
    address(shown) {
      const peer = plain(shown.socket.remoteAddress ?? '');
      const forwarded = isListed(peer) ? shown.headers['x-forwarded-for'] : undefined;
      const client = typeof forwarded === 'string' ? clientOf(forwarded, peer, isListed) : peer;
      return network(client);
    },
    user(shown) {
      if (proxy?.user === undefined || shown.headers[proxy.user] === undefined) return undefined;
      const peer = plain(shown.socket.remoteAddress ?? '');
      if (!isListed(peer)) return undefined;
      const user = single(shown, proxy.user);
      if (user === null) return 'bad_proxy';
      return user === undefined || user === '' ? undefined : userOf(shown, user, peer);
    },
    holder(shown, now) {
      const { socket } = shown;
      if (client_cert === undefined || authorities === undefined || socket.authorized !== true)
        return undefined;
      let holder = holders.get(socket);
      if (holder === undefined) {
        holder = holderOf(shown);
        if (holder === undefined) return undefined;
        holders.set(socket, holder);
      }
      // Node checks the validity once, in the handshake.
      return typeof holder === 'object' && holder.expires !== undefined && now >= holder.expires
        ? 'expired'
        : holder;
    },
    current(principal) {
      const { kind, credential } = principal;
      if (kind === 'proxy') return proxy?.user !== undefined && isListed(credential) ? principal : undefined;
      if (!client_cert || authority === '' || !credential.startsWith(`${authority}.`)) return undefined;
      const { groups } = client_cert;
      const owner = ownerOf(principal.name);
      if (isDeepStrictEqual(groups, principal.groups) && owner === principal.owner) return principal;
      return { ...principal, groups, owner };
    },
  };
}

/** An address without a zone; IPv4 within IPv6 as IPv4. */
function plain(address: string): string {
  const text = address.replace(/%.*$/, '');
  const mapped = /^::ffff:(\d{1,3}(?:\.\d{1,3}){3})$/i.exec(text)?.[1];
  return mapped ?? text;
}

/** The last hop of X-Forwarded-For that is not a listed proxy; as far as it can be read. */
export function clientOf(forwarded: string, peer: string, isListed: (address: string) => boolean): string {
  let client = peer;
  let end = forwarded.length;
  for (let hops = 0; hops < MOST_HOPS && end >= 0; hops++) {
    const comma = end === 0 ? -1 : forwarded.lastIndexOf(',', end - 1);
    const hop = hopAddress(forwarded.slice(comma + 1, end));
    if (hop === undefined) return client;
    client = hop;
    if (!isListed(hop)) return client;
    end = comma;
  }
  return client;
}

/** `1.2.3.4`, `1.2.3.4:5`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:5`. */
function hopAddress(text: string): string | undefined {
  const hop = text.trim();
  // Longer than an address with zone and port: not searched by a pattern.
  if (hop.length > 64) return undefined;
  const bare = /^\[([^[\]]+)\](?::\d{1,5})?$/.exec(hop)?.[1] ?? /^([\d.]+):\d{1,5}$/.exec(hop)?.[1] ?? hop;
  const address = plain(bare);
  return isIP(address) === 0 ? undefined : address;
}

/** IPv4 as it is; the first 64 bits of IPv6, which one host has all of. */
export function network(address: string): string {
  if (isIP(address) !== 6) return address;
  const [head = '', tail = ''] = address.toLowerCase().split('::') as [string, string?];
  const groups = (part: string): string[] => (part === '' ? [] : part.split(':'));
  const left = groups(head);
  // A tail in the form of IPv4 counts as two groups; it is within the last 64 bits.
  const right = groups(tail).flatMap((group) => (group.includes('.') ? ['0', '0'] : [group]));
  const missing = address.includes('::') ? 8 - left.length - right.length : 0;
  const all = [...left, ...new Array<string>(Math.max(0, missing)).fill('0'), ...right];
  return `${all
    .slice(0, 4)
    .map((group) => parseInt(group, 16).toString(16))
    .join(':')}::/64`;
}

/** The value of a header that may be sent once; null: it was sent more often. */
function single(shown: Shown, name: string): string | undefined | null {
  const value = shown.headers[name];
  return Array.isArray(value) || isRepeated(shown, name) ? null : value;
}

/** A header value in UTF-8; undefined: it cannot be one name. Node reads headers as Latin-1. */
function readable(value: string): string | undefined {
  const bytes = Buffer.from(value, 'latin1');
  const text = bytes.toString('utf8').trim();
  // A replacement would make one name of two.
  return text.includes('\ufffd') ? undefined : bounded(text);
}

function groupsOf(value: string): string[] | undefined {
  const parts = value.split(',', MOST_GROUPS + 1);
  if (parts.length > MOST_GROUPS) return undefined;
  const groups: string[] = [];
  for (const part of parts) {
    if (part.trim() === '') continue;
    const group = readable(part);
    if (group === undefined) return undefined;
    groups.push(group);
  }
  return groups;
}

const SAN_TYPES = { san_uri: 'URI', san_email: 'email', san_dns: 'DNS' } as const;

/**
 * The first alternative name of a type, from the form that Node gives them: `URI:spiffe://a/b, DNS:c`. Node writes a value that contains
 * a delimiter as a JSON string.
 */
export function alternativeName(text: string, type: 'URI' | 'email' | 'DNS'): string | undefined {
  let at = 0;
  while (at < text.length) {
    const colon = text.indexOf(':', at);
    if (colon < 0) return undefined;
    const isWanted = text.slice(at, colon) === type;
    let end: number;
    let value: string | undefined;
    if (text[colon + 1] === '"') {
      end = endOfQuoted(text, colon + 1);
      value = end < 0 ? undefined : unquoted(text.slice(colon + 1, end));
      if (value === undefined) return undefined;
    } else {
      const next = text.indexOf(', ', colon);
      end = next < 0 ? text.length : next;
      value = text.slice(colon + 1, end);
    }
    if (isWanted) return value;
    if (end < text.length && !text.startsWith(', ', end)) return undefined;
    at = end + 2;
  }
  return undefined;
}

/** The offset behind the closing quote; -1: there is none. */
function endOfQuoted(text: string, start: number): number {
  for (let i = start + 1; i < text.length; i++) {
    if (text[i] === '\\') i++;
    else if (text[i] === '"') return i + 1;
  }
  return -1;
}

function unquoted(json: string): string | undefined {
  try {
    const value: unknown = JSON.parse(json);
    return typeof value === 'string' ? value : undefined;
  } catch {
    return undefined;
  }
}

function commonName(name: string | readonly string[] | undefined): string | undefined {
  return typeof name === 'string' ? name : name?.[0];
}
