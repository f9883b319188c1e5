/** Reads the Cookie header of a browser (RFC 6265, 5.4): pairs that `; ` separates. */

/**
 * The names and values in the order of the header, without cookies that have no name. Only the one space of the separator is left out: a browser
 * lets every host of a domain set a cookie whose name is a no-break space and `__Host-...`, which a parser that trims would take for one that
 * only this host can set.
 */
export function cookiesOf(header: string): [name: string, value: string][] {
  return header.split(';').flatMap((part) => {
    const at = part.indexOf('=');
    if (at === -1) return [];
    return [[part.slice(part.startsWith(' ') ? 1 : 0, at), part.slice(at + 1)]];
  });
}
