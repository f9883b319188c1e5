/** Other names, titles, descriptions and arguments for tools, as the configuration says. */
import type { OverrideConfig } from '../config/types.js';
import { withBytes, type Definition, type ListKind } from '../protocol/lists.js';
import { find } from '../protocol/message.js';
import type { Link, NameKind } from '../protocol/ports.js';
import { splice, type Patch } from '../wire/splice.js';
import { membersOf } from '../wire/walk.js';
import { missingArgument, withArguments } from './argument-overrides.js';
import { Filter, type Registry } from './registry.js';

type Overrides = ReadonlyMap<string, ReadonlyMap<string, OverrideConfig>>;

/** A list with its overrides. */
interface Changed {
  readonly definitions: readonly Definition[];
  /** Why tools are hidden, a sentence each. */
  readonly problems: readonly string[];
}

const NO_PROBLEMS: readonly string[] = [];

export class Overridden extends Filter {
  readonly #overrides: Overrides;
  readonly #changed = new WeakMap<readonly Definition[], Changed>();

  /** `overrides`: by server and the server's own name of the tool. */
  constructor(base: Registry, overrides: Overrides) {
    super(base);
    this.#overrides = overrides;
  }

  override list(link: Link, kind: ListKind): readonly Definition[] {
    const all = this.base.list(link, kind);
    const own = kind === 'tools' ? this.#overrides.get(link.server) : undefined;
    return own ? this.#change(link.server, all, own).definitions : all;
  }

  override problems(): readonly string[] {
    const own = this.entries().flatMap(({ link }) => {
      const overrides = this.#overrides.get(link.server);
      return overrides ? this.#change(link.server, this.base.list(link, 'tools'), overrides).problems : [];
    });
    return [...super.problems(), ...own];
  }

  #change(
    server: string,
    all: readonly Definition[],
    overrides: ReadonlyMap<string, OverrideConfig>,
  ): Changed {
    const known = this.#changed.get(all);
    if (known) return known;
    const problems: string[] = [];
    const definitions = all.flatMap((definition) => {
      const override = overrides.get(definition.key);
      const shown = override ? overridden(definition, override, server) : definition;
      if (typeof shown !== 'string') return [shown];
      problems.push(shown);
      return [];
    });
    const changed = { definitions, problems: problems.length === 0 ? NO_PROBLEMS : problems };
    this.#changed.set(all, changed);
    return changed;
  }

  /** A replaced name is unknown. A new name, and a tool whose arguments change, is known only while the tool is listed. */
  override admits(server: string, kind: NameKind, name: string): boolean {
    const own = kind === 'tool' ? this.#overrides.get(server) : undefined;
    const override = own?.get(name);
    if (override?.name !== undefined || override?.arguments !== undefined) return false;
    if (own) for (const each of own.values()) if (each.name === name) return false;
    return this.base.admits(server, kind, name);
  }
}

/** The definition with other members, or why it is hidden; its own name stays the name that is sent to the server. */
function overridden(definition: Definition, override: OverrideConfig, server: string): Definition | string {
  const { name, title, description, arguments: changes } = override;
  const ofArguments = changes && withArguments(definition.bytes, changes);
  if (ofArguments && 'missing' in ofArguments)
    return missingArgument(definition, server, ofArguments.missing);
  const before = ofArguments?.bytes ?? definition.bytes;
  const bytes = withMembers(before, {
    ...(title !== undefined && { title }),
    ...(description !== undefined && { description }),
  });
  const shown = bytes === definition.bytes ? definition : withBytes(definition, bytes);
  if (!shown)
    return `the tool '${definition.key}' of '${server}' is hidden: with its overrides, it cannot be read`;
  return {
    ...shown,
    ...(name !== undefined && { shown: name }),
    ...(ofArguments?.fixed && { fixed: ofArguments.fixed }),
  };
}

function withMembers(bytes: Buffer, members: Readonly<Record<string, string>>): Buffer {
  const entries = Object.entries(members);
  if (entries.length === 0) return bytes;
  const own = membersOf(bytes);
  const { end } = find(own, 'name') as { readonly end: number };
  const patches: Patch[] = entries.map(([key, value]) => {
    const at = find(own, key);
    return at
      ? { start: at.start, end: at.end, bytes: Buffer.from(JSON.stringify(value)) }
      : { start: end, end, bytes: Buffer.from(`,"${key}":${JSON.stringify(value)}`) };
  });
  return splice(bytes, patches);
}
