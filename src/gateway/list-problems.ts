/** What the configuration takes out of lists, which nobody would notice otherwise: ties of names, and tools without an argument that has a fixed value. */
import type { Access } from '../policy/access.js';
import type { Logger } from '../observe/log.js';
import { routeTo } from '../proxy/route.js';
import type { Views } from '../proxy/views.js';

export interface ListProblemsDeps {
  readonly views: () => Pick<Views, 'whole'>;
  readonly access: () => Pick<Access, 'profiles'>;
  readonly log: Logger;
}

export class ListProblems {
  readonly #deps: ListProblemsDeps;
  #known: ReadonlySet<string> = new Set();

  constructor(deps: ListProblemsDeps) {
    this.#deps = deps;
  }

  /** By the path of the endpoint, a sentence each; endpoints without problems are left out. */
  all(): Record<string, readonly string[]> {
    const { views, access } = this.#deps;
    const routes = [routeTo({}), ...[...access().profiles.keys()].map((profile) => routeTo({ profile }))];
    return Object.fromEntries(
      routes.flatMap((route) => {
        const problems = views().whole(route).registry.problems();
        return problems.length === 0 ? [] : [[route.path, shortened(problems)] as const];
      }),
    );
  }

  /** Logs each problem once, and again if it comes back. Called when lists or the configuration have changed. */
  review(): void {
    const now = new Set<string>();
    for (const [endpoint, problems] of Object.entries(this.all()))
      for (const problem of problems) {
        const id = `${endpoint} ${problem}`;
        now.add(id);
        if (!this.#known.has(id)) this.#deps.log.warn(problem, { endpoint });
      }
    this.#known = now;
  }
}

/** Sentences about one endpoint, at the most: what servers list decides how many there are. */
const MOST = 50;

function shortened(problems: readonly string[]): readonly string[] {
  if (problems.length <= MOST) return problems;
  return [...problems.slice(0, MOST), `${problems.length - MOST} more of this kind`];
}
