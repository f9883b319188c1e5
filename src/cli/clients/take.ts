/** Which servers of clients become servers of the config, and under which names. */
import { basename } from 'node:path';
import { expand } from '../../config/expand.js';
import { entryProblem, type Resolved } from '../edit/config-file.js';
import type { ClientServer, Place } from './client.js';
import type { Source } from './index.js';
import { plainName, translate, type Entry } from './translate.js';

/** A server of a client that could be taken over. */
export interface Candidate {
  readonly client: string;
  readonly file: string;
  readonly server: ClientServer;
  readonly dollars: boolean;
  /** Its name in the config. */
  readonly name: string;
  /** The entry, with secrets in it. */
  readonly entry: Entry;
  readonly asks: readonly string[];
  readonly variables: readonly string[];
  readonly unknown: readonly string[];
  /** Why a gateway would not start with it. */
  readonly problem: string | undefined;
}

/** A server that is left out, and why. */
export interface LeftOut {
  readonly client: string;
  readonly server: string;
  readonly why: string;
  /** It is the same as one that the config has, or gets. */
  readonly same: boolean;
}

export interface Plan {
  readonly candidates: readonly Candidate[];
  readonly leftOut: readonly LeftOut[];
}

interface Known {
  readonly name: string;
  readonly parts: readonly string[];
  readonly headers: string;
  /** Its place among the candidates; undefined: the config has it. */
  readonly index?: number;
}

/**
 * The same server (command, arguments and environment, or URL) is taken once, under its first name; another one with a name that is taken gets
 * the name of its client behind it. `existing`: the servers of the config; `taken`: their names, disabled ones included; `isOwn`: whether a URL
 * is that of the gateway itself.
 */
export function planned(
  sources: readonly Source[],
  existing: readonly Resolved[],
  taken: readonly string[],
  place: Place,
  isOwn: (url: string) => boolean = () => false,
): Plan {
  const candidates: Candidate[] = [];
  const leftOut: LeftOut[] = [];
  const names = new Set(taken);
  const known: Known[] = existing.map((server) => ({
    name: server.name,
    parts: partsOf(server),
    headers: '',
  }));
  for (const { client, file, servers } of sources)
    for (const server of servers) {
      const left = (why: string, same = false): void => {
        leftOut.push({ client: client.name, server: server.name, why, same });
      };
      if (isGateway(server) || (server.url !== undefined && isOwn(server.url))) {
        left('it is a gateway of mcpstead');
        continue;
      }
      const dollars = client.dollars ?? false;
      const own = plainName(server.name);
      const translated = translate(server, { name: own, platform: place.platform, dollars });
      const parts = partsOf(resolved(translated.entry, place.env));
      const headers = JSON.stringify(Object.entries(server.headers).sort());
      const twin = known.find((each) => isSame(each.parts, parts));
      if (twin) {
        const differs = twin.index !== undefined && server.url !== undefined && twin.headers !== headers;
        left(`it is the same as ${twin.name}${differs ? ', with other headers' : ''}`, true);
        // Enabled in one client, it is enabled.
        const first = twin.index === undefined ? undefined : candidates[twin.index];
        if (twin.index !== undefined && first?.server.disabled && !server.disabled)
          candidates[twin.index] = {
            ...first,
            server: { ...first.server, disabled: false },
            entry: enabled(first.entry),
          };
        continue;
      }
      const name = freeName(own, client.name, names);
      names.add(name);
      known.push({ name, parts, headers, index: candidates.length });
      const entry = { ...translated.entry, name };
      const { asks, variables, unknown } = translated;
      const problem = asks.length > 0 ? undefined : entryProblem(entry, place.env);
      candidates.push({
        client: client.name,
        file: file.path,
        server,
        dollars,
        name,
        entry,
        asks,
        variables,
        unknown,
        problem,
      });
    }
  return { candidates, leftOut };
}

function enabled({ disabled: _, ...entry }: Entry): Entry {
  return entry;
}

function freeName(own: string, client: string, names: ReadonlySet<string>): string {
  if (!names.has(own)) return own;
  const suffixed = `${own}-${plainName(client)}`;
  for (let index = 1; ; index++) {
    const name = index === 1 ? suffixed : `${suffixed}-${index}`;
    if (!names.has(name)) return name;
  }
}

/** Whether an entry of a client leads to a gateway: `mcpstead stdio`, or what `install` writes under its name. */
export function isGateway({ name, command, args, url }: ClientServer): boolean {
  const words = [command ?? '', ...args].map((word) => basename(word.replaceAll('\\', '/')));
  const isBridge = words.some((word, index) => {
    const isProgram = /^mcpstead(?:\.cmd|@[\w.-]+)?$/.test(word) || (word === 'main.js' && index > 0);
    return isProgram && words[index + 1] === 'stdio';
  });
  return isBridge || (url !== undefined && name === 'mcpstead');
}

/** The URL of the gateway that such an entry leads to; undefined: it starts its own. */
export function gatewayUrl({ args, url }: ClientServer): string | undefined {
  return url ?? args[args.indexOf('--url') + 1 || args.length];
}

/** A server with the values of its references; what is not set stays as it is written. */
export function resolved(entry: Entry, env: NodeJS.ProcessEnv): Resolved {
  const value = (written: string): string => expand(written, { env, folder: '/' }, () => undefined);
  const { name, command, url, args = [], env: own = {} } = entry;
  return {
    name,
    ...(command !== undefined && { command: value(command) }),
    ...(url !== undefined && { url: value(url) }),
    args: args.map(value),
    env: Object.fromEntries(Object.entries(own).map(([key, each]) => [key, value(each)])),
  };
}

/** What tells servers apart: command, arguments and environment, or the URL. */
export function partsOf(server: Resolved): readonly string[] {
  const { command, url, args, env } = server;
  if (command === undefined) return ['url', withoutUser(url ?? '')];
  const sorted = Object.entries(env).sort(([a], [b]) => (a < b ? -1 : 1));
  return ['command', command, ...args, '\0', ...sorted.flat()];
}

function withoutUser(url: string): string {
  return url.replace(/^([a-z]+:\/\/)[^/@?#]*@/i, '$1').replace(/\/$/, '');
}

const ASKED = /\$\{(?:input|keyring|command|config|workspaceFolder)[^}]*\}/;

/** Whether two servers are the same; what a person has given counts as equal. */
export function isSame(parts: readonly string[], ofClient: readonly string[]): boolean {
  return (
    parts.length === ofClient.length &&
    parts.every((part, index) => part === ofClient[index] || ASKED.test(ofClient[index] ?? ''))
  );
}
