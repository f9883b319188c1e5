/** What commands know of a client of MCP servers, such as Cursor: where its file is, what is in it, and how an entry is written. */
import { isMapping } from '../../config/client-files.js';
import { pathsOf } from '../../config/paths.js';
import type { Path } from '../../config/problems.js';
import type { Change, Format } from '../edit/edit.js';

/** What decides where the files of clients are. */
export interface Place {
  readonly env: NodeJS.ProcessEnv;
  /** As `process.platform`. */
  readonly platform: NodeJS.Platform;
  /** The folder of the user. */
  readonly home: string;
  /** The folder of a project, whose own files are meant; undefined: those of the user are. */
  readonly project?: string | undefined;
}

export interface ClientFile {
  readonly path: string;
  readonly format: Format;
}

/** A server as a client has it. References such as `${env:X}` are as they are written. */
export interface ClientServer {
  readonly name: string;
  /** Where it is in its file. */
  readonly path: Path;
  readonly command?: string | undefined;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd?: string | undefined;
  readonly url?: string | undefined;
  readonly headers: Readonly<Record<string, string>>;
  /** undefined: as it answers. */
  readonly type?: 'sse' | undefined;
  readonly disabled: boolean;
  /** Variables of the client's own environment that the command gets. */
  readonly inherits: readonly string[];
  /** Members that have no counterpart. */
  readonly unknown: readonly string[];
}

/** The gateway, as it is written into a client. */
export interface GatewayEntry {
  readonly name: string;
  readonly url: string;
  /** A variable of the client that holds the key, the key itself; undefined: the gateway needs none. */
  readonly token?: { readonly variable: string } | { readonly key: string } | undefined;
  /** The command that connects a client that only starts programs. Full paths. */
  readonly bridge: { readonly command: string; readonly args: readonly string[] };
}

export interface Client {
  readonly name: string;
  /** The files it may have, in the order in which they are looked for. */
  find(place: Place): readonly ClientFile[];
  /** The servers of a parsed file. What does not look like one is left out. */
  read(value: unknown): readonly ClientServer[];
  /** The changes that make the gateway an entry of a parsed file. */
  write(gateway: GatewayEntry, value: unknown): readonly Change[];
  /** The changes that take out what `write` has added. */
  clear(name: string, value: unknown): readonly Change[];
  /** How it refers to a variable of its environment, so that a key need not be in the file; undefined: it cannot. */
  readonly variable?: ((name: string) => string) | undefined;
  /** Whether `$X` is a reference too. */
  readonly dollars?: true;
}

/** How a client calls the parts of a server. */
export interface Keys {
  readonly command?: string;
  readonly env?: string;
  readonly url?: readonly string[];
  readonly headers?: readonly string[];
  /** Members that are understood, or that say nothing about the server. */
  readonly known?: readonly string[];
}

/** A server from the members of a mapping; undefined: it has neither a command nor a URL. */
export function serverOf(
  name: string,
  path: Path,
  raw: Readonly<Record<string, unknown>>,
  { command = 'command', env = 'env', url = ['url'], headers = ['headers'], known = [] }: Keys = {},
): ClientServer | undefined {
  const [program, ...words] = Array.isArray(raw[command]) ? texts(raw[command]) : [text(raw[command]) ?? ''];
  const address = url.map((key) => text(raw[key])).find((found) => found !== undefined);
  if (!program && !address) return undefined;
  const used = new Set([
    'type',
    'name',
    'cwd',
    'args',
    'disabled',
    'enabled',
    command,
    env,
    ...url,
    ...headers,
    ...known,
  ]);
  const { type, disabled, enabled, cwd } = raw;
  return {
    name,
    path,
    ...(program ? { command: program } : { url: address }),
    args: [...words, ...texts(raw['args'])],
    env: strings(raw[env]),
    cwd: text(cwd) || undefined,
    headers: Object.assign({}, ...headers.map((key) => strings(raw[key]))) as Record<string, string>,
    type: !program && type === 'sse' ? 'sse' : undefined,
    disabled: disabled === true || enabled === false,
    inherits: [],
    unknown: Object.keys(raw).filter((key) => !used.has(key)),
  };
}

/** The servers of a mapping of names to servers, at a path of a file. */
export function namedServers(
  value: unknown,
  path: Path,
  one: (
    name: string,
    path: Path,
    raw: Readonly<Record<string, unknown>>,
  ) => ClientServer | undefined = serverOf,
): readonly ClientServer[] {
  const found = path.reduce<unknown>((from, part) => memberOf(from, part), value);
  if (!isMapping(found)) return [];
  return Object.entries(found).flatMap(([name, raw]) => {
    const server = isMapping(raw) ? one(name, [...path, name], raw) : undefined;
    return server ? [server] : [];
  });
}

function memberOf(value: unknown, part: string | number): unknown {
  return isMapping(value) && Object.hasOwn(value, part) ? value[part] : undefined;
}

export function text(value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : undefined;
}

export function texts(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.flatMap((each) => text(each) ?? []) : [];
}

export function strings(value: unknown): Readonly<Record<string, string>> {
  if (!isMapping(value)) return {};
  return Object.fromEntries(
    Object.entries(value).flatMap(([name, each]) => {
      const written = text(each);
      return written === undefined ? [] : [[name, written]];
    }),
  );
}

/** The header that shows a key, for a client that has the key or its variable. */
export function authorization(
  { token }: GatewayEntry,
  variable: ((name: string) => string) | undefined,
): { readonly Authorization: string } | undefined {
  if (!token) return undefined;
  if ('key' in token) return { Authorization: `Bearer ${token.key}` };
  return variable && { Authorization: `Bearer ${variable(token.variable)}` };
}

/** The files of a client that has none in projects. */
export function ofUser(find: Client['find']): Client['find'] {
  return (place) => (place.project === undefined ? find(place) : []);
}

/** Joins the parts of a path by the rules of a platform. */
export function joinOf(platform: NodeJS.Platform): (...parts: string[]) => string {
  const paths = pathsOf(platform);
  return (...parts) => paths.join(...parts);
}

/** `%APPDATA%`, `~/Library/Application Support` or `~/.config`: where programs of a desktop keep their settings. */
export function settingsFolder({ env, platform, home }: Place): string {
  const paths = pathsOf(platform);
  if (platform === 'win32') return env['APPDATA'] || paths.join(home, 'AppData', 'Roaming');
  if (platform === 'darwin') return paths.join(home, 'Library', 'Application Support');
  return configFolder({ env, platform, home });
}

/** `$XDG_CONFIG_HOME` or `~/.config`, also on macOS. */
export function configFolder({ env, platform, home }: Place): string {
  const paths = pathsOf(platform);
  const named = env['XDG_CONFIG_HOME'];
  return named && paths.isAbsolute(named) ? named : paths.join(home, '.config');
}

/** The change that removes the entry of a mapping, if it is there. */
export function removal(path: Path, name: string, value: unknown): readonly Change[] {
  const whole = [...path, name];
  const found = whole.reduce<unknown>((from, part) => memberOf(from, part), value);
  return found === undefined ? [] : [{ op: 'remove', path: whole }];
}
