/** What models see of tools: not those that only pages of their server may call (MCP Apps 2026-01-26, "Visibility"). */
import type { Definition, ListKind } from '../protocol/lists.js';
import type { Link, NameKind } from '../protocol/ports.js';
import { Filter } from './registry.js';

/** Hides the tools of pages from callers that show no apps. They do not exist for them, whatever unlisted names may do. */
export class ForModels extends Filter {
  readonly #cut = new WeakMap<readonly Definition[], readonly Definition[]>();

  override list(link: Link, kind: ListKind): readonly Definition[] {
    const all = this.base.list(link, kind);
    if (kind !== 'tools') return all;
    let shown = this.#cut.get(all);
    if (!shown) {
      shown = all.some(isForPagesAlone) ? all.filter((each) => !isForPagesAlone(each)) : all;
      this.#cut.set(all, shown);
    }
    return shown;
  }

  override admits(server: string, kind: NameKind, name: string): boolean {
    if (!this.base.admits(server, kind, name)) return false;
    const link = kind === 'tool' ? this.base.get(server) : undefined;
    if (!link) return true;
    return !this.base.list(link, 'tools').some((each) => each.key === name && isForPagesAlone(each));
  }
}

function isForPagesAlone({ extension }: Definition): boolean {
  const visibility = extension?.visibility;
  return visibility === 'app' || visibility === 'none';
}
