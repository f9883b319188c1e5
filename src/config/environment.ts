import { BlockList, isIP, isIPv6 } from 'node:net';

/** The variables that every child process inherits; any others have to be named in `inherit_env`. */
export const INHERITED = [
  'HOME',
  'LOGNAME',
  'PATH',
  'SHELL',
  'TERM',
  'USER',
  'LANG',
  'TZ',
  'TMPDIR',
  'HTTP_PROXY',
  'HTTPS_PROXY',
  'NO_PROXY',
  'http_proxy',
  'https_proxy',
  'no_proxy',
  'SSL_CERT_FILE',
  'SSL_CERT_DIR',
  'NODE_EXTRA_CA_CERTS',
] as const;

/** Windows programs do not start without these. */
export const INHERITED_WINDOWS = [
  'APPDATA',
  'COMSPEC',
  'HOMEDRIVE',
  'HOMEPATH',
  'LOCALAPPDATA',
  'PATHEXT',
  'PROCESSOR_ARCHITECTURE',
  'PROGRAMFILES',
  'SYSTEMDRIVE',
  'SYSTEMROOT',
  'TEMP',
  'TMP',
  'USERNAME',
  'USERPROFILE',
] as const;

/** Whether a variable is a system variable, such as HOME, and not a secret. A proxy URL may hold a password. */
export function isPlain(name: string): boolean {
  return ([...INHERITED, ...INHERITED_WINDOWS] as string[]).includes(name) && !/proxy/i.test(name);
}

/** The environment of a child: the allow-list and `LC_*`, then `inherit`, then the server's own `env`. */
export function childEnvironment(
  env: NodeJS.ProcessEnv,
  inherit: readonly string[],
  own: Readonly<Record<string, string>>,
  platform: NodeJS.Platform = process.platform,
): Record<string, string> {
  const child: Record<string, string> = {};
  const names: string[] = [...INHERITED, ...(platform === 'win32' ? INHERITED_WINDOWS : []), ...inherit];
  for (const name of Object.keys(env)) if (name.startsWith('LC_')) names.push(name);
  for (const name of names) {
    const value = env[name];
    if (value !== undefined) child[name] = value;
  }
  return Object.assign(child, own);
}

/**
 * The proxy that the environment names for `url`, or undefined for a direct connection: `http_proxy` for http,
 * `https_proxy` for https, the lower case first, both subject to `no_proxy`. As with curl, nothing is exempt
 * by default, not even loopback.
 */
export function proxyFromEnvironment(url: URL, env: NodeJS.ProcessEnv): string | undefined {
  const proxy =
    url.protocol === 'https:'
      ? env['https_proxy'] || env['HTTPS_PROXY']
      : env['http_proxy'] || env['HTTP_PROXY'];
  if (!proxy || exempt(url, env['no_proxy'] || env['NO_PROXY'] || '')) return undefined;
  return proxy;
}

/** Whether `NO_PROXY` covers the host: names with their subdomains, addresses, CIDR ranges, `host:port`, `*`. */
function exempt(url: URL, list: string): boolean {
  const host = bare(url.hostname);
  const port = url.port || (url.protocol === 'https:' ? '443' : '80');
  for (const raw of list.split(/[\s,]+/)) {
    if (raw === '') continue;
    if (raw === '*') return true;
    let entry = raw.toLowerCase();
    const withPort = /^(\[[^\]]+\]|[^:]+):(\d+)$/.exec(entry);
    if (withPort) {
      if (withPort[2] !== port) continue;
      entry = withPort[1] as string;
    }
    entry = bare(entry).replace(/^\*?\./, '');
    if (entry === host || host.endsWith(`.${entry}`) || inRange(host, entry)) return true;
  }
  return false;
}

function inRange(host: string, entry: string): boolean {
  const slash = entry.indexOf('/');
  if (slash === -1 || isIP(host) === 0) return false;
  const family = isIPv6(host) ? 'ipv6' : 'ipv4';
  try {
    const range = new BlockList();
    range.addSubnet(entry.slice(0, slash), Number(entry.slice(slash + 1)), family);
    return range.check(host, family);
  } catch {
    return false;
  }
}

function bare(host: string): string {
  return host
    .replace(/^\[|\]$/g, '')
    .replace(/\.$/, '')
    .toLowerCase();
}
