/** What rules leave of a catalog: those of the policy for a caller, or those of a profile. */
import type { Definition, ListKind } from '../protocol/lists.js';
import type { Link, NameKind, Peer, Rules, ServerLink, Verdict } from '../protocol/ports.js';
import { withoutPages } from './pages.js';
import { Filter, type Entry, type Registry } from './registry.js';

const NAME_OF: Readonly<Record<ListKind, Exclude<NameKind, 'task'>>> = {
  tools: 'tool',
  prompts: 'prompt',
  resources: 'resource',
  templates: 'resource',
  skills: 'resource',
};

const LIST_OF: Readonly<Record<Exclude<NameKind, 'task'>, ListKind>> = {
  tool: 'tools',
  prompt: 'prompts',
  resource: 'resources',
};

/** Hides what the rules do not allow. Servers, items and names that are hidden are those that do not exist. */
export class Restricted extends Filter {
  readonly #rules: Rules;
  /** The shown part of each list, and its definitions by name. */
  readonly #cut = new WeakMap<readonly Definition[], readonly Definition[]>();
  readonly #byKey = new WeakMap<readonly Definition[], ReadonlyMap<string, Definition>>();
  readonly #verdicts = new WeakMap<Definition, Verdict>();
  #entries: readonly Entry[] | undefined;
  #built = -1;

  constructor(base: Registry, rules: Rules) {
    super(base);
    this.#rules = rules;
  }

  override get(server: string): ServerLink | undefined {
    const link = this.base.get(server);
    return link && !this.#rules.hides(server) ? link : undefined;
  }

  override peerOf(server: string): Peer | undefined {
    return this.hides(server) ? undefined : this.base.peerOf(server);
  }

  override entries(): readonly Entry[] {
    if (!this.#entries || this.#built !== this.version) {
      this.#built = this.version;
      this.#entries = this.base.entries().filter(({ link }) => !this.#rules.hides(link.server));
    }
    return this.#entries;
  }

  override list(link: Link, kind: ListKind): readonly Definition[] {
    const all = this.base.list(link, kind);
    let shown = this.#cut.get(all);
    if (!shown) {
      const { server } = link;
      const name = NAME_OF[kind];
      const isPageShown = (uri: string): boolean => this.#rules.decide('resource', server, uri).shown;
      shown = all
        .filter((definition) => this.#decide(server, name, definition).shown)
        .map((definition) => withoutPages(definition, isPageShown));
      // Views that show the same share its bytes.
      if (shown.length === all.length && shown.every((each, i) => each === all[i])) shown = all;
      this.#cut.set(all, shown);
    }
    return shown;
  }

  override hides(server: string): boolean {
    return this.base.hides(server) || this.#rules.hides(server);
  }

  override admits(server: string, kind: NameKind, name: string): boolean {
    const link = this.get(server);
    if (!link || !this.base.admits(server, kind, name)) return false;
    return this.#verdictOf(server, kind, name, this.#listed(link, kind, name)).shown;
  }

  override verdict(
    server: string,
    kind: NameKind,
    name: string,
    definition: Definition | undefined,
  ): Verdict {
    // Below are at most the rules of a profile, which have no conditions for calls.
    return this.#verdictOf(server, kind, name, definition);
  }

  override showsAll(server: string): boolean {
    return this.base.showsAll(server) && this.#rules.whole(server);
  }

  #verdictOf(server: string, kind: NameKind, name: string, definition: Definition | undefined): Verdict {
    if (definition && kind !== 'task') return this.#decide(server, kind, definition);
    return this.#rules.decide(kind, server, name);
  }

  #decide(server: string, kind: NameKind, definition: Definition): Verdict {
    let verdict = this.#verdicts.get(definition);
    if (!verdict) {
      verdict = this.#rules.decide(kind, server, definition.key, definition);
      this.#verdicts.set(definition, verdict);
    }
    return verdict;
  }

  /** The definition of a name that leads to the server in another form than its listed one. */
  #listed(link: ServerLink, kind: NameKind, name: string): Definition | undefined {
    if (kind === 'task') return undefined;
    const list = this.base.list(link, LIST_OF[kind]);
    let byKey = this.#byKey.get(list);
    if (!byKey) this.#byKey.set(list, (byKey = new Map(list.map((each) => [each.key, each]))));
    return byKey.get(name);
  }
}
