/**
 * Decides which tools or prompts of a profile are listed without their server's name. The names are the same for all who use the profile,
 * whatever the policy hides from them: a tie is one of the profile, so that what somebody may not see changes no name that he sees.
 */
import type { Definition } from '../protocol/lists.js';
import { bareName, parse, qualify } from './naming.js';
import type { Segment } from './segment.js';

/** The list of one server. */
export interface NamedList {
  readonly server: string;
  /** What it lists now. */
  readonly listed: readonly Definition[];
  /** What it listed last, where it lists nothing because it is away. */
  readonly last?: readonly Definition[] | undefined;
}

const NONE: ReadonlySet<string> = new Set();

export interface BareNames {
  /** Whether a definition that is listed may have its bare name. */
  isBare(definition: Definition): boolean;
  /** The bare names that nothing is listed under, although servers have them, and those servers. */
  readonly ties: ReadonlyMap<string, readonly string[]>;
}

/**
 * `servers`: all of the profile: what begins with the name of one is the full name of a tool. `nameLength`: limits.name_length. `own`: names of
 * tools of the gateway, which no server's tool takes.
 */
export function bareNames(
  lists: readonly NamedList[],
  servers: ReadonlySet<string>,
  nameLength: number,
  own: ReadonlySet<string> = NONE,
): BareNames {
  const owners = new Map<string, string[]>();
  const full = new Set<string>();
  for (const { server, listed, last } of lists)
    for (const { key, shown } of last ?? listed) {
      const name = shown ?? key;
      full.add(qualify(server, name, nameLength));
      const bare = bareName(name, nameLength);
      const known = owners.get(bare);
      if (!known) owners.set(bare, [server]);
      else if (known.at(-1) !== server) known.push(server);
    }
  const isFree = (bare: string): boolean =>
    !full.has(bare) && !own.has(bare) && !servers.has(parse(bare)?.server ?? '');
  const ties = new Map([...owners].filter(([bare, of]) => of.length > 1 || !isFree(bare)));
  return {
    ties,
    isBare: ({ key, shown }) => !ties.has(bareName(shown ?? key, nameLength)),
  };
}

/** Finds the segment that lists a bare name. */
export class BareIndex {
  #made: { readonly segments: readonly Segment[]; readonly byName: ReadonlyMap<string, Segment> } | undefined;

  of(name: string, segments: readonly Segment[]): Segment | undefined {
    if (this.#made?.segments !== segments) {
      const byName = new Map<string, Segment>();
      for (const segment of segments)
        if (segment.unlisted.size > 0) for (const each of segment.names.keys()) byName.set(each, segment);
      this.#made = { segments, byName };
    }
    return this.#made.byName.get(name);
  }
}

/** The full names of what a bare name may mean, although nothing is listed under it. */
export function fullNames(name: string, segments: readonly Segment[], nameLength: number): string[] {
  return segments.flatMap(({ link, definitions }) => {
    const found = definitions.find(({ key, shown }) => bareName(shown ?? key, nameLength) === name);
    return found ? [qualify(link.server, found.shown ?? found.key, nameLength)] : [];
  });
}
