/** The config of the gateway, as commands change it. */
import { dirname } from 'node:path';
import { isMapping } from '../../config/client-files.js';
import { expand } from '../../config/expand.js';
import { loadConfig, resolveConfig } from '../../config/index.js';
import type { Path } from '../../config/problems.js';
import { Refusal } from '../../terminal/explain.js';
import { BrokenFile, edited, formatOf, parsed, type Change, type Format } from './edit.js';
import { readText, writeText } from './files.js';

/** A server in the file, whether or not it is disabled. */
export interface Declared {
  readonly name: string;
  readonly path: Path;
  readonly disabled: boolean;
}

export class ConfigFile {
  readonly path: string;
  /** undefined: there is no file. */
  readonly text: string | undefined;
  readonly format: Format;
  readonly value: unknown;

  /** Throws a Refusal if the file cannot be read. */
  constructor(path: string) {
    this.path = path;
    this.text = readText(path);
    this.format = formatOf(this.text ?? '', path);
    try {
      this.value = this.text === undefined ? null : parsed(this.text, this.format, path);
    } catch (error) {
      if (error instanceof BrokenFile) throw new Refusal(error.message);
      throw error;
    }
  }

  get folder(): string {
    return dirname(this.path);
  }

  get servers(): readonly Declared[] {
    const root = isMapping(this.value) ? this.value : {};
    return ['servers', 'mcpServers'].flatMap((key) => declaredIn(root[key], [key]));
  }

  find(name: string): Declared | undefined {
    return this.servers.find((server) => server.name === name);
  }

  /** All servers with their references resolved, disabled ones included; what is not set stays as it is written. */
  resolved(env: NodeJS.ProcessEnv): readonly Resolved[] {
    const value = (written: unknown): string =>
      expand(
        typeof written === 'string' ? written : String(written),
        { env, folder: this.folder },
        () => undefined,
      );
    return this.servers.map(({ name, path }) => {
      const found = path.reduce<unknown>((from, part) => (from as Record<string, unknown>)[part], this.value);
      const { command, url, args, env: own } = isMapping(found) ? found : {};
      return {
        name,
        ...(command !== undefined && { command: value(command) }),
        ...(url !== undefined && { url: value(url) }),
        args: Array.isArray(args) ? args.map(value) : [],
        env: isMapping(own)
          ? Object.fromEntries(Object.entries(own).map(([key, each]) => [key, value(each)]))
          : {},
      };
    });
  }

  /** The change that adds a server where the file has its servers. */
  adding(entry: { readonly name: string }): Change {
    const root = isMapping(this.value) ? this.value : {};
    const { servers, mcpServers } = root;
    const named = isMapping(servers)
      ? 'servers'
      : isMapping(mcpServers) && !Array.isArray(servers)
        ? 'mcpServers'
        : undefined;
    const { name, ...members } = entry;
    return named === undefined
      ? { op: 'append', path: ['servers'], value: entry }
      : { op: 'set', path: [named, name], value: members };
  }

  /** The text after the changes. Throws a Refusal with a snippet if it cannot be edited. */
  after(changes: readonly Change[]): string {
    return edited(this.text ?? '', this.format, this.path, changes);
  }

  write(text: string): void {
    writeText(this.path, text, { before: { text: this.text } });
  }
}

function declaredIn(servers: unknown, path: Path): readonly Declared[] {
  if (Array.isArray(servers))
    return servers.flatMap((raw: unknown, index) =>
      isMapping(raw) && typeof raw['name'] === 'string'
        ? [{ name: raw['name'], path: [...path, index], disabled: raw['disabled'] === true }]
        : [],
    );
  if (!isMapping(servers)) return [];
  return Object.entries(servers).flatMap(([name, raw]) =>
    isMapping(raw) ? [{ name, path: [...path, name], disabled: raw['disabled'] === true }] : [],
  );
}

/** Why a gateway would not start with this server; undefined: nothing is known. Variables and files that are missing do not count. */
export function entryProblem(entry: object, env: NodeJS.ProcessEnv): string | undefined {
  try {
    resolveConfig({ servers: [entry] }, { ...env, MCPSTEAD_BEARER_TOKEN: undefined });
    return undefined;
  } catch (error) {
    const [first = ''] = (error as Error).message.split('\n');
    return first.replace(/^servers\[0\]\.?/, '').replace(/^: /, '');
  }
}

/** A server of the config, with its references resolved. */
export interface Resolved {
  readonly name: string;
  readonly command?: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly url?: string;
}

/** The servers that a gateway with this config has; none if it is not valid. */
export function resolvedServers(path: string, env: NodeJS.ProcessEnv): readonly Resolved[] {
  try {
    return loadConfig(path, env).config.servers.map((server) =>
      server.kind === 'stdio'
        ? { name: server.name, command: server.command, args: server.args, env: server.env }
        : { name: server.name, url: server.url, args: [], env: {} },
    );
  } catch {
    return [];
  }
}
