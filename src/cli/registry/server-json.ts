/** A server.json of the MCP registry: what of it is understood, and what it becomes. */
import { isMapping } from '../../config/client-files.js';
import { FILE_BYTES, readBounded } from '../../config/read.js';
import { Refusal } from '../../terminal/explain.js';

type Raw = Readonly<Record<string, unknown>>;

/** A value that somebody may have to give. */
export interface Input {
  readonly name: string;
  readonly description: string;
  /** A fixed value, or one with `{variable}` in it. */
  readonly value?: string | undefined;
  readonly otherwise?: string | undefined;
  readonly isRequired: boolean;
  readonly isSecret: boolean;
  readonly choices: readonly string[];
  readonly variables: readonly Input[];
}

export interface Argument extends Input {
  /** `--name`; undefined: a word by its place. */
  readonly flag?: string | undefined;
}

export interface Package {
  readonly kind: 'package';
  /** npm, pypi, oci, nuget. */
  readonly registry: string;
  readonly identifier: string;
  readonly version: string | undefined;
  readonly runtimeArguments: readonly Argument[];
  readonly packageArguments: readonly Argument[];
  readonly environment: readonly Input[];
}

export interface Remote {
  readonly kind: 'remote';
  readonly url: string;
  readonly isSse: boolean;
  readonly headers: readonly Input[];
  readonly variables: readonly Input[];
}

export interface Published {
  readonly name: string;
  readonly title: string;
  readonly description: string;
  readonly version: string;
  readonly ways: readonly (Package | Remote)[];
  /** Ways that are not understood: their types. */
  readonly others: readonly string[];
}

const MOST = 64;
const REGISTRIES: readonly string[] = ['npm', 'pypi', 'oci', 'nuget'];
/** What a package manager takes as one name: nothing that it would read as an option or a path. */
const IDENTIFIER: Readonly<Record<string, RegExp>> = {
  npm: /^(?:@[a-z0-9~-][a-z0-9._~-]*\/)?[a-z0-9~-][a-z0-9._~-]*$/i,
  pypi: /^[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?$/,
  oci: /^[a-z0-9][a-z0-9._:/-]*(?:@sha256:[0-9a-f]{64})?$/i,
  nuget: /^[A-Za-z0-9_][A-Za-z0-9._-]*$/,
};
const VERSION = /^[A-Za-z0-9][A-Za-z0-9._+!-]*$/;

/** The server of an answer of the registry, or of a server.json. Throws a Refusal. */
export function publishedFrom(value: unknown): Published {
  const raw = isMapping(value) && isMapping(value['server']) ? value['server'] : value;
  if (!isMapping(raw) || typeof raw['name'] !== 'string')
    throw new Refusal('this is not a server.json: it has no name');
  const { name } = raw;
  const packages = mappings(raw['packages']);
  const remotes = mappings(raw['remotes']);
  const ways: (Package | Remote)[] = [];
  const others: string[] = [];
  for (const each of packages) {
    const found = packageFrom(each);
    if (typeof found === 'string') others.push(found);
    else ways.push(found);
  }
  for (const each of remotes) {
    const found = remoteFrom(each);
    if (typeof found === 'string') others.push(found);
    else ways.push(found);
  }
  return {
    name,
    title: text(raw['title']) ?? name,
    description: text(raw['description']) ?? '',
    version: text(raw['version']) ?? '',
    ways,
    others,
  };
}

function packageFrom(raw: Raw): Package | string {
  const registry = text(raw['registryType']) ?? text(raw['registry_type']) ?? 'unknown';
  const identifier = text(raw['identifier']) ?? '';
  const transport = isMapping(raw['transport']) ? text(raw['transport']['type']) : 'stdio';
  if (transport !== undefined && transport !== 'stdio') return `${registry} over ${transport}`;
  if (!REGISTRIES.includes(registry)) return registry;
  if (!IDENTIFIER[registry]?.test(identifier))
    throw new Refusal(`'${identifier}' is not the name of a package of ${registry}`);
  const version = text(raw['version']);
  if (version !== undefined && !VERSION.test(version))
    throw new Refusal(`'${version}' is not the version of a package`);
  return {
    kind: 'package',
    registry,
    identifier,
    version: version === 'latest' ? undefined : version,
    runtimeArguments: mappings(raw['runtimeArguments']).map(argumentFrom),
    packageArguments: mappings(raw['packageArguments']).map(argumentFrom),
    environment: mappings(raw['environmentVariables']).map((each) => inputFrom(each)),
  };
}

function remoteFrom(raw: Raw): Remote | string {
  const type = text(raw['type']) ?? '';
  const url = text(raw['url']) ?? '';
  if (type !== 'streamable-http' && type !== 'sse') return type || 'unknown';
  if (!/^https?:\/\//i.test(url)) throw new Refusal(`'${url}' is not an http or https URL`);
  return {
    kind: 'remote',
    url,
    isSse: type === 'sse',
    headers: mappings(raw['headers']).map((each) => inputFrom(each)),
    variables: variablesFrom(raw['variables']),
  };
}

function argumentFrom(raw: Raw): Argument {
  const isNamed = raw['type'] === 'named';
  const flag = text(raw['name']) ?? '';
  const name = isNamed ? flag : (text(raw['valueHint']) ?? text(raw['name']) ?? 'argument');
  return { ...inputFrom(raw, name), ...(isNamed && { flag }) };
}

function inputFrom(raw: Raw, name = text(raw['name']) ?? 'value', depth = 0): Input {
  return {
    name: name.replace(/[^\w.-]+/g, '_'),
    description: text(raw['description']) ?? '',
    value: text(raw['value']),
    otherwise: text(raw['default']),
    isRequired: raw['isRequired'] === true || raw['is_required'] === true,
    isSecret: raw['isSecret'] === true || raw['is_secret'] === true,
    choices: Array.isArray(raw['choices']) ? raw['choices'].flatMap((each) => text(each) ?? []) : [],
    variables: depth > 0 ? [] : variablesFrom(raw['variables']),
  };
}

function variablesFrom(raw: unknown): readonly Input[] {
  if (!isMapping(raw)) return [];
  return Object.entries(raw)
    .slice(0, MOST)
    .flatMap(([name, each]) => (isMapping(each) ? [inputFrom(each, name, 1)] : []));
}

function text(value: unknown): string | undefined {
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  return typeof value === 'string' ? value.slice(0, 4096) : undefined;
}

function mappings(value: unknown): readonly Raw[] {
  return Array.isArray(value) ? value.slice(0, MOST).filter(isMapping) : [];
}

/** The value of a server.json on this machine. Throws a Refusal. */
export function readServerFile(path: string): unknown {
  try {
    return JSON.parse(readBounded(path, FILE_BYTES)) as unknown;
  } catch (error) {
    throw new Refusal(`cannot read ${path}: ${(error as Error).message}`);
  }
}
