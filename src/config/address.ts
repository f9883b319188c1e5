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
