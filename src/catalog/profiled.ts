/** What a profile says about names and instructions. */
import type { ProfileConfig } from '../config/types.js';
import type { Definition, ListKind } from '../protocol/lists.js';
import type { Link } from '../protocol/ports.js';
import { bareNames, type BareNames, type NamedList } from './prefixes.js';
import { OWN_TOOLS } from '../protocol/finder.js';
import { Filter, lastListed, type Registry } from './registry.js';

type NamedKind = 'tools' | 'prompts';

/** The names of a kind, as long as the lists stay what they are. */
interface Named {
  readonly version: number;
  readonly nameLength: number;
  readonly lists: readonly NamedList[];
  readonly names: BareNames;
}

/** Lists tools and prompts under bare names, where the profile wants that and no two servers have the name. */
export class Profiled extends Filter {
  readonly #prefix: ProfileConfig['prefix'];
  /** Tools that a profile with search lists of its own. */
  readonly #own: ReadonlySet<string> | undefined;
  readonly #instructions: string | undefined;
  readonly #named = new Map<NamedKind, Named>();
  readonly #lists = new WeakMap<
    readonly Definition[],
    { readonly names: BareNames; readonly list: readonly Definition[] }
  >();
  /** Each definition under its bare name. */
  readonly #bare = {
    listed: new WeakMap<Definition, Definition>(),
    tied: new WeakMap<Definition, Definition>(),
  };

  constructor(
    base: Registry,
    {
      prefix,
      instructions,
      search,
    }: Pick<ProfileConfig, 'prefix' | 'instructions'> & { readonly search?: object | undefined },
  ) {
    super(base);
    this.#prefix = prefix;
    this.#own = search ? OWN_TOOLS : undefined;
    this.#instructions = instructions;
  }

  override get prefix(): ProfileConfig['prefix'] {
    return this.#prefix;
  }

  override get instructions(): string | undefined {
    return this.#instructions ?? this.base.instructions;
  }

  override list(link: Link, kind: ListKind): readonly Definition[] {
    const all = this.base.list(link, kind);
    if (this.prefix === 'always' || (kind !== 'tools' && kind !== 'prompts') || all.length === 0) return all;
    const names = this.#namesOf(kind);
    const known = this.#lists.get(all);
    if (known?.names === names) return known.list;
    const list = all.map((definition) => {
      if (names.isBare(definition)) return this.#as('listed', definition);
      return this.prefix === 'never' ? this.#as('tied', definition) : definition;
    });
    const isSame = known?.list.every((each, i) => each === list[i]) === true;
    const next = isSame ? known.list : list;
    this.#lists.set(all, { names, list: next });
    return next;
  }

  override problems(): readonly string[] {
    if (this.prefix !== 'never') return super.problems();
    const kinds = ['tools', 'prompts'] as const;
    const own = kinds.flatMap((kind) =>
      [...this.#namesOf(kind).ties].map(([name, servers]) => {
        const who = servers.map((server) => `'${server}'`).join(', ');
        const why =
          servers.length > 1
            ? 'more than one server has it'
            : this.#own?.has(name)
              ? 'a tool of the gateway has it'
              : 'it reads as a full name';
        const fix = kind === 'tools' ? ': give one another name under overrides, or use prefix: auto' : '';
        return `the name '${name.slice(0, 128)}' of ${who} is missing in ${kind}/list, because ${why}${fix}`;
      }),
    );
    return [...super.problems(), ...own];
  }

  #as(bare: 'listed' | 'tied', definition: Definition): Definition {
    let made = this.#bare[bare].get(definition);
    if (!made) this.#bare[bare].set(definition, (made = { ...definition, bare }));
    return made;
  }

  #namesOf(kind: NamedKind): BareNames {
    const { version } = this;
    const nameLength = this.options.nameLength();
    const known = this.#named.get(kind);
    if (known?.version === version && known.nameLength === nameLength) return known.names;
    const links = this.base.entries().map(({ link }) => link);
    const lists = links.map((link) => ({
      server: link.server,
      listed: this.base.list(link, kind),
      last: lastListed(this.base, link, kind),
    }));
    const isSame =
      known?.nameLength === nameLength &&
      known.lists.length === lists.length &&
      lists.every(({ server, listed, last }, i) => {
        const before = known.lists[i];
        return before?.server === server && (before.last ?? before.listed) === (last ?? listed);
      });
    const names = isSame
      ? known.names
      : bareNames(
          lists,
          new Set(links.map(({ server }) => server)),
          nameLength,
          kind === 'tools' ? this.#own : undefined,
        );
    this.#named.set(kind, { version, nameLength, lists, names });
    return names;
  }
}
