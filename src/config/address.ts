import { BlockList, isIP, isIPv6 } from 'node:net';

const LABEL = /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/i;

/** A host to bind to, without the brackets of an IPv6 literal. undefined: it is not a host. */
export function bindHost(host: string): string | undefined {
  const text = host.startsWith('[') && host.endsWith(']') ? host.slice(1, -1) : host;
  if (text !== host && !isIPv6(text)) return undefined;
  if (isIP(text) !== 0) return text;
  const labels = text.replace(/\.$/, '').split('.');
  const last = labels.at(-1) as string;
  // Some resolvers read a name that ends in a number as an address.
  if (/^(\d+|0x[0-9a-f]*)$/i.test(last) || text.length > 253) return undefined;
  return labels.every((label) => LABEL.test(label)) ? text : undefined;
}

let loopback: BlockList | undefined;

/** 127.0.0.0/8, ::1, ::ffff:127.0.0.0/104 and `localhost`, with or without brackets. */
export function isLoopback(host: string): boolean {
  const text = host.replace(/^\[(.*)\]$/, '$1').toLowerCase();
  if (text === 'localhost' || text === 'localhost.') return true;
  const family = isIP(text);
  if (family === 0) return false;
  if (!loopback) {
    loopback = new BlockList();
    loopback.addSubnet('127.0.0.0', 8, 'ipv4');
    loopback.addAddress('::1', 'ipv6');
    loopback.addSubnet('::ffff:127.0.0.0', 104, 'ipv6');
  }
  return loopback.check(text, family === 6 ? 'ipv6' : 'ipv4');
}

/** Whether a URL may be asked for what others must not change: over https, or on this host. */
export function isSecure({ protocol, hostname }: URL): boolean {
  return protocol === 'https:' || (protocol === 'http:' && isLoopback(hostname));
}

/** Whether a text is an https URL, or an http one on loopback, without user, query and fragment. */
export function isPlain(text: string): boolean {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  return (
    url !== undefined &&
    isSecure(url) &&
    url.username === '' &&
    url.password === '' &&
    // An empty query or fragment is none for URL.
    !/[?#]/.test(text)
  );
}

export interface Network {
  readonly address: string;
  /** Leading bits of the address that count. */
  readonly bits: number;
  readonly family: 'ipv4' | 'ipv6';
}

/** Reads `10.1.2.3` or `10.1.0.0/16`; undefined: it is neither. */
export function networkOf(text: string): Network | undefined {
  const [address = '', bits, ...rest] = text.split('/');
  const family = isIP(address);
  const longest = family === 4 ? 32 : 128;
  const length = bits === undefined ? longest : /^\d{1,3}$/.test(bits) ? Number(bits) : NaN;
  if (family === 0 || rest.length > 0 || !(length <= longest)) return undefined;
  return { address, bits: length, family: family === 4 ? 'ipv4' : 'ipv6' };
}
