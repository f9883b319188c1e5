/** Other names, titles and descriptions for tools, as the configuration says. */
import type { OverrideConfig } from '../config/types.js';
import { readListPage, type Definition, type ListKind } from '../protocol/lists.js';
import { find } from '../protocol/message.js';
import type { Link, NameKind } from '../protocol/ports.js';
import { splice, type Patch } from '../wire/splice.js';
import { membersOf } from '../wire/walk.js';
import { Filter, type Registry } from './registry.js';

type Overrides = ReadonlyMap<string, ReadonlyMap<string, OverrideConfig>>;

export class Overridden extends Filter {
  readonly #overrides: Overrides;
  readonly #changed = new WeakMap<readonly Definition[], readonly Definition[]>();

  /** `overrides`: by server and the server's own name of the tool. */
  constructor(base: Registry, overrides: Overrides) {
    super(base);
    this.#overrides = overrides;
  }

  override list(link: Link, kind: ListKind): readonly Definition[] {
    const all = this.base.list(link, kind);
    const own = kind === 'tools' ? this.#overrides.get(link.server) : undefined;
    if (!own) return all;
    let changed = this.#changed.get(all);
    if (!changed) {
      changed = all.map((definition) => {
        const override = own.get(definition.key);
        return override ? overridden(definition, override) : definition;
      });
      this.#changed.set(all, changed);
    }
    return changed;
  }

  /** A replaced name is unknown, and the new name is known only while its tool is listed. */
  override admits(server: string, kind: NameKind, name: string): boolean {
    const own = kind === 'tool' ? this.#overrides.get(server) : undefined;
    if (own?.get(name)?.name !== undefined) return false;
    if (own) for (const override of own.values()) if (override.name === name) return false;
    return this.base.admits(server, kind, name);
  }
}

/** The definition with other members; its own name stays the name that is sent to the server. */
function overridden(definition: Definition, { name, title, description }: OverrideConfig): Definition {
  const members = {
    ...(title !== undefined && { title }),
    ...(description !== undefined && { description }),
  };
  const changed = withMembers(definition, members);
  return name === undefined ? changed : { ...changed, shown: name };
}

function withMembers(definition: Definition, members: Readonly<Record<string, string>>): Definition {
  const entries = Object.entries(members);
  if (entries.length === 0) return definition;
  const { bytes, keySpan } = definition;
  const own = membersOf(bytes);
  const patches: Patch[] = entries.map(([key, value]) => {
    const at = find(own, key);
    return at
      ? { start: at.start, end: at.end, bytes: Buffer.from(JSON.stringify(value)) }
      : { start: keySpan.end, end: keySpan.end, bytes: Buffer.from(`,"${key}":${JSON.stringify(value)}`) };
  });
  const inOrder = patches.sort((a, b) => a.start - b.start);
  const page = Buffer.concat([Buffer.from('{"tools":['), splice(bytes, inOrder), Buffer.from(']}')]);
  // The reader finds the places of the members again.
  const [read] = readListPage('tools', page).definitions;
  if (!read) return definition;
  return definition.trusted ? { ...read, trusted: definition.trusted } : read;
}
