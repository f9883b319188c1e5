/** What the tools of servers and profiles take of a context, for metrics: counted when they are asked for, in the background. */
import type { tokensOf } from '../admin/tokens.js';
import type { Boundary } from '../observe/boundary.js';
import type { GatewayStats } from '../observe/stats.js';
import type { Definition } from '../protocol/lists.js';
import type { Access } from '../policy/access.js';
import { routeTo } from '../proxy/route.js';
import type { Links } from './links.js';

type List = readonly Definition[];

export interface ToolTokensDeps {
  readonly boundary: Boundary;
  readonly stats: Pick<GatewayStats, 'toolTokens'>;
  readonly links: () => Links;
  readonly access: () => Access;
}

export class ToolTokens {
  readonly #deps: ToolTokensDeps;
  #counting = false;

  constructor(deps: ToolTokensDeps) {
    this.#deps = deps;
  }

  /** Updates the figures that are known, and counts the rest for the next time. */
  async measure(): Promise<void> {
    const counter = await import('../admin/tokens.js');
    const unknown: List[] = [];
    const sum = (lists: readonly List[]): number | undefined => {
      const known = lists.map((list) => counter.tokensKnown(list)?.sum);
      lists.forEach((list, i) => known[i] === undefined && unknown.push(list));
      return known.includes(undefined)
        ? undefined
        : known.reduce<number>((all, each) => all + (each ?? 0), 0);
    };
    const { stats, links, access } = this.#deps;
    const { servers, profiles } = stats.toolTokens;
    servers.clear();
    profiles.clear();
    for (const { server, lists } of links().shared.links()) put(servers, server, sum([lists.tools]));
    for (const profile of access().profiles.keys()) {
      const { view } = links().views.whole(routeTo({ profile }));
      put(profiles, profile, sum(view.parts('tools').map(({ definitions }) => definitions)));
    }
    if (unknown.length === 0 || this.#counting) return;
    this.#counting = true;
    this.#deps.boundary.detach('detached', this.#count(counter.tokensOf, unknown));
  }

  async #count(count: typeof tokensOf, lists: readonly List[]): Promise<void> {
    try {
      for (const list of lists) await count(list);
    } finally {
      this.#counting = false;
    }
  }
}

function put(figures: Map<string, number>, name: string, value: number | undefined): void {
  if (value !== undefined) figures.set(name, value);
}
