/**
 * Names without their server, as pages of servers and texts of skills use them on endpoints of several servers: which servers they may mean.
 */
import type { Definition, ListKind } from '../protocol/lists.js';
import type { ServerLink } from '../protocol/ports.js';
import { hasOrigin, qualify } from './naming.js';
import { lastListed, type Registry } from './registry.js';
import type { Segment } from './segment.js';

/** A server that a name may mean. `shown`: the name in the view. */
export interface Bearer {
  readonly link: ServerLink;
  readonly shown: string;
}

type Index = ReadonlyMap<string, readonly Bearer[]>;
type Segments = readonly Segment[];

const NOBODY: readonly Bearer[] = [];

/** What servers listed that are away: their names do not pass to other servers meanwhile. */
export class Away {
  readonly #registry: Registry;

  constructor(registry: Registry) {
    this.#registry = registry;
  }

  of(link: ServerLink, kind: ListKind): readonly Definition[] {
    return lastListed(this.#registry, link, kind) ?? [];
  }

  fullName({ server }: ServerLink, name: string): string {
    return qualify(server, name, this.#registry.options.nameLength());
  }
}

/** An index that is made again when the lists that it is made from are others. */
class Indexed {
  readonly #make: (lists: readonly Segments[]) => Index;
  #made: { readonly lists: readonly Segments[]; readonly index: Index } | undefined;

  constructor(make: (lists: readonly Segments[]) => Index) {
    this.#make = make;
  }

  of(name: string, ...lists: readonly Segments[]): readonly Bearer[] {
    if (!this.#made?.lists.every((each, i) => each === lists[i]))
      this.#made = { lists, index: this.#make(lists) };
    return this.#made.index.get(name) ?? NOBODY;
  }
}

/** The only one of them, or else the only one of them whose page the client has read; undefined: it is not clear. */
export function soleOf(
  bearers: readonly Bearer[],
  pages: ReadonlySet<string> | undefined,
): Bearer | undefined {
  if (bearers.length === 1) return bearers[0];
  const shown = pages ? bearers.filter(({ link }) => pages.has(link.server)) : NOBODY;
  return shown.length === 1 ? shown[0] : undefined;
}

/**
 * Tools that pages may call, of servers that show apps: by the names that the servers gave them, which pages have in their code, and by those
 * that the configuration gave them instead, if the server has no tool of that name.
 */
export class BareTools {
  readonly #index: Indexed;

  /** `away`: see Away. */
  constructor(away: Away) {
    this.#index = new Indexed(([tools = []]) => indexOf(tools, away));
  }

  of(name: string, tools: Segments): readonly Bearer[] {
    return this.#index.of(name, tools);
  }
}

function indexOf(tools: Segments, away: Away): Index {
  const index = new Map<string, Bearer[]>();
  for (const { link, names, unlisted } of tools) {
    if (!link.schemes.includes('ui')) continue;
    const ties = [...unlisted].filter(([, { bare }]) => bare === 'tied');
    const last = away
      .of(link, 'tools')
      .map((each) => [away.fullName(link, each.shown ?? each.key), each] as const);
    const callable = [...names, ...ties, ...last].filter(([, definition]) => isForPages(definition));
    for (const [shown, { key }] of callable) put(index, key, { link, shown });
    for (const [shown, definition] of callable)
      if (definition.shown !== undefined) put(index, definition.shown, { link, shown });
  }
  return index;
}

function isForPages({ extension }: Definition): boolean {
  const visibility = extension?.visibility;
  return visibility === undefined || visibility === 'app';
}

/** URIs of extensions, by the form that their servers use: those that a server lists, or refers to in a list. */
export class BareUris {
  readonly #index: Indexed;

  /** `away`: see Away. */
  constructor(away: Away) {
    this.#index = new Indexed((lists) => {
      const index = new Map<string, Bearer[]>();
      for (const segments of lists)
        for (const { link, names, kind } of segments)
          for (const { key, extension } of [...names.values(), ...away.of(link, kind)]) {
            if (hasOrigin(key)) put(index, key, { link, shown: key });
            for (const { uri } of extension?.uris ?? []) put(index, uri, { link, shown: uri });
          }
      return index;
    });
  }

  of(uri: string, resources: Segments, tools: Segments, skills: Segments): readonly Bearer[] {
    return this.#index.of(uri, resources, tools, skills);
  }
}

/** Adds one server once to a name. */
function put(index: Map<string, Bearer[]>, name: string, bearer: Bearer): void {
  const known = index.get(name);
  if (!known) index.set(name, [bearer]);
  else if (known.every(({ link }) => link !== bearer.link)) known.push(bearer);
}
