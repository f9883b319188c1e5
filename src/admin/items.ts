/** Tools, prompts and resources as the API shows them: under the names that clients of `/mcp` use, without the rules of a policy. */
import { turns } from '../lib/turns.js';
import type { Definition } from '../protocol/lists.js';
import type { View } from '../protocol/ports.js';
import type { ListKind } from '../protocol/shapes.js';
import { isObject, objectOf, readJson, textOf, type JsonObject } from '../wire/json.js';
import { Refused } from './route.js';
import type { Prompt, Resource, Tool } from './schemas.js';
import type { AdminSource } from './source.js';
import { tokensOf } from './tokens.js';

/** The largest definition that is read. */
const MOST_BYTES = 4_194_304;

export interface ItemQuery {
  readonly server?: string | undefined;
  /** As the endpoint of a profile lists them; undefined: as `/mcp` does. */
  readonly profile?: string | undefined;
  /** One name alone. */
  readonly name?: string | undefined;
  readonly full: boolean;
}

interface Item {
  readonly name: string;
  readonly server: string;
  readonly definition: Definition;
  /** Its JSON; empty: it cannot be read. */
  readonly read: JsonObject;
  /** Its position among the definitions of the server. */
  readonly index: number;
  readonly list: readonly Definition[];
}

/** Throws a Refused for a profile that does not exist. */
function viewOf(source: AdminSource, profile: string | undefined): View {
  const names = profile === undefined ? [] : source.profiles().map(({ name }) => name);
  if (profile !== undefined && !names.includes(profile))
    throw new Refused('not_found', `there is no profile '${profile.slice(0, 64)}'`, {
      action: `the profiles are: ${names.slice(0, 16).join(', ') || 'none'}`,
    });
  return source.view(profile);
}

/** Reads the definitions in steps. `make`: what is shown of one. */
async function each<T>(
  source: AdminSource,
  kind: ListKind,
  { server, name, profile }: ItemQuery,
  make: (item: Item) => T,
): Promise<T[]> {
  const found: T[] = [];
  for (const part of viewOf(source, profile).parts(kind)) {
    if (server !== undefined && part.link.server !== server) continue;
    const positions = new Map(part.definitions.map((definition, index) => [definition, index]));
    for (const [shown, definition] of part.names) {
      if (name !== undefined && shown !== name) continue;
      found.push(
        make({
          name: shown,
          server: part.link.server,
          definition,
          read: objectOf(readJson(definition.bytes, MOST_BYTES)) ?? {},
          index: positions.get(definition) ?? -1,
          list: part.definitions,
        }),
      );
      if (turns.isOver()) await turns.next();
    }
  }
  return found;
}

export async function toolsOf(source: AdminSource, query: ItemQuery): Promise<Tool[]> {
  const view = viewOf(source, query.profile);
  for (const { link, definitions } of view.parts('tools'))
    if (query.server === undefined || query.server === link.server) await tokensOf(definitions);
  const counts = new Map<readonly Definition[], readonly number[]>();
  for (const { definitions } of view.parts('tools'))
    counts.set(definitions, (await tokensOf(definitions)).each);
  return each(source, 'tools', query, ({ name, server, definition, read, index, list }) => ({
    name,
    server,
    own_name: definition.key,
    title: textOf(read['title']) ?? textOf(objectOf(read['annotations'])?.['title']) ?? null,
    description: textOf(read['description']) ?? null,
    tokens: counts.get(list)?.[index] ?? 0,
    annotations: isObject(read['annotations']) ? read['annotations'] : null,
    ...(query.full && { definition: read }),
  }));
}

export function promptsOf(source: AdminSource, query: ItemQuery): Promise<Prompt[]> {
  return each(source, 'prompts', query, ({ name, server, definition, read }) => ({
    name,
    server,
    own_name: definition.key,
    title: textOf(read['title']) ?? null,
    description: textOf(read['description']) ?? null,
    ...(query.full && { definition: read }),
  }));
}

export async function resourcesOf(source: AdminSource, query: ItemQuery): Promise<Resource[]> {
  const of = (kind: 'resources' | 'templates'): Promise<Resource[]> =>
    each(source, kind, query, ({ name, server, read }) => ({
      uri: name,
      template: kind === 'templates',
      server,
      name: textOf(read['name']) ?? null,
      title: textOf(read['title']) ?? null,
      description: textOf(read['description']) ?? null,
      mime_type: textOf(read['mimeType']) ?? null,
      ...(query.full && { definition: read }),
    }));
  return [...(await of('resources')), ...(await of('templates'))];
}
