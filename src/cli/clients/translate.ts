/** A server of a client as a server of the config. */
import { present } from '../../config/shape.js';
import type { ClientServer } from './client.js';
import { converted, type Meaning } from './references.js';
import { isSecret, isSecretArgument, urlSecrets } from './secrets.js';

/** A server of the config, as it is written. */
export interface Entry {
  readonly name: string;
  readonly command?: string;
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly inherit_env?: readonly string[];
  readonly url?: string;
  readonly protocol?: 'sse';
  readonly headers?: Readonly<Record<string, string>>;
  readonly disabled?: true;
}

export interface Translated {
  readonly entry: Entry;
  /** References that only a person can resolve, and that nobody has answered. */
  readonly asks: readonly string[];
  /** Variables of the gateway's environment that it needs. */
  readonly variables: readonly string[];
  /** Members of the client's entry that have no counterpart. */
  readonly unknown: readonly string[];
  /** How many secrets were handed to `keep`. */
  readonly secrets: number;
}

export interface Translation {
  readonly name: string;
  readonly platform: NodeJS.Platform;
  readonly dollars?: boolean | undefined;
  readonly answers?: ReadonlyMap<string, string>;
  /** Keeps a secret, and returns the reference to it. `what`: what it is, such as `GITHUB_TOKEN`. undefined: secrets stay. */
  readonly keep?: (what: string, value: string) => string;
}

/** Never fails: what has no counterpart is listed. */
export function translate(server: ClientServer, translation: Translation): Translated {
  const { name, platform, dollars = false, answers = new Map(), keep } = translation;
  const asks = new Set<string>();
  const variables = new Set<string>();
  let secrets = 0;
  const own = new Set(Object.keys(server.env));
  const common: Meaning = {
    platform,
    dollars,
    answers,
    asked: (what) => asks.add(what),
    named: (variable) => variables.add(variable),
  };
  const secret = (what: string, value: string): string => {
    if (!keep) return value;
    secrets++;
    return keep(what, value);
  };
  /** A whole value that is a secret goes into a file as it is, without references. */
  const held = (what: string, value: string, meaning: Meaning, isHeld: boolean): string => {
    const written = converted(value, meaning);
    const plain = answered(value, answers);
    if (!isHeld || /\$\{/.test(written.replace(/\$\$/g, ''))) return written;
    return secret(what, plain);
  };
  const values = (from: Readonly<Record<string, string>>): Record<string, string> =>
    Object.fromEntries(
      Object.entries(from).map(([key, value]) => {
        const isHeld = isSecret(key, answered(value, answers)) || asksSecret(value, answers);
        return [key, held(key, value, { ...common, wholeDollar: true }, isHeld)];
      }),
    );
  const args = server.args.map((value, index) => {
    const isHeld = isSecretArgument(answered(value, answers), server.args[index - 1]);
    return held(`arg-${index + 1}`, value, { ...common, own }, isHeld);
  });
  const url = server.url === undefined ? undefined : converted(server.url, { ...common, wholeDollar: true });
  const env = values(server.env);
  const headers = values(server.headers);
  const isStdio = server.command !== undefined;
  const entry = present({
    name,
    command: isStdio ? converted(server.command, { ...common, own }) : undefined,
    args: isStdio && args.length > 0 ? args : undefined,
    env: isStdio && own.size > 0 ? env : undefined,
    cwd: isStdio && server.cwd !== undefined ? converted(server.cwd, common) : undefined,
    inherit_env: isStdio && server.inherits.length > 0 ? server.inherits : undefined,
    url: url === undefined ? undefined : withoutSecrets(url, secret),
    protocol: server.type,
    headers: !isStdio && Object.keys(headers).length > 0 ? headers : undefined,
    disabled: server.disabled ? true : undefined,
  }) as Entry;
  return { entry, asks: [...asks], variables: [...variables], unknown: server.unknown, secrets };
}

/** The value with what a person has answered, and no other changes. */
function answered(value: string, answers: ReadonlyMap<string, string>): string {
  let text = value;
  for (const [what, answer] of answers) text = text.replaceAll(what, () => answer);
  return text;
}

/** Inputs and keyrings hold secrets, whatever their name; the folder of a workspace is none. */
function asksSecret(value: string, answers: ReadonlyMap<string, string>): boolean {
  return [...answers.keys()].some((what) => /^\$\{(?:input|keyring):/.test(what) && value.includes(what));
}

function withoutSecrets(url: string, secret: (what: string, value: string) => string): string {
  let text = url;
  for (const part of urlSecrets(url))
    text = text.replace(part, () => secret('url', part.replaceAll('$$', '$')));
  return text;
}

/** The values of servers that are secrets, as they are in the file. */
export function secretsOf(servers: readonly ClientServer[]): ReadonlySet<string> {
  const found = new Set<string>();
  const keep = (_what: string, value: string): string => {
    found.add(value);
    return '';
  };
  for (const server of servers) translate(server, { name: server.name, platform: 'linux', keep });
  return found;
}

/** A name that the config, clients and models accept. */
export function plainName(name: string): string {
  const plain = name
    .normalize('NFKD')
    .replace(/\p{M}+/gu, '')
    .replace(/[^A-Za-z0-9_-]+/g, '-')
    .replace(/_{2,}/g, '_')
    .slice(0, 64)
    .replace(/^-+|[-_]+$/g, '');
  return plain === '' ? 'server' : plain;
}
