/** Whether the replicas of a fleet have the same configuration and show the same lists, and who agrees with whom. */
import type { Logger } from '../observe/log.js';
import type { Member } from './members.js';

/** How long replicas may differ before that is a warning. */
const WARN_MS = 60_000;
/** Replicas of a group that a warning names, at the most. */
const MOST_NAMED = 8;

const COMPARED = ['config', 'lists'] as const;
export type Compared = (typeof COMPARED)[number];

const WARNINGS: Readonly<Record<Compared, string>> = {
  config: 'replicas of the fleet have different configurations: reload them all (POST /-/reload?fleet)',
  lists:
    'replicas of the fleet show different tools, prompts or resources: a server is down for one of them, or answers it differently (compare GET /-/api/v1/servers?replica=all)',
};

export interface Difference {
  readonly what: Compared;
  /** Unix milliseconds. */
  readonly since: number;
  /** It has lasted so long that it is a warning. */
  readonly isLong: boolean;
  /** Identities of replicas; those of a group agree. The largest group first. */
  readonly groups: readonly (readonly string[])[];
}

/** What is compared of a replica. */
export type ComparedMember = Pick<Member, 'id' | 'name' | 'draining' | 'config' | 'lists'>;

export interface DifferencesDeps {
  readonly log: Logger;
  /** performance.now(). */
  readonly now?: () => number;
  /** Unix milliseconds. */
  readonly clock?: () => number;
}

interface Lasting {
  readonly groups: readonly (readonly ComparedMember[])[];
  /** By `now`. */
  readonly began: number;
  /** By `clock`. */
  readonly since: number;
}

export class Differences {
  readonly #log: Logger;
  readonly #now: () => number;
  readonly #clock: () => number;
  readonly #lasting = new Map<Compared, Lasting>();
  readonly #warned = new Set<Compared>();

  constructor({ log, now = () => performance.now(), clock = Date.now }: DifferencesDeps) {
    this.#log = log;
    this.#now = now;
    this.#clock = clock;
  }

  /** `members`: all live replicas. One that is draining ends its links, so its lists are not compared. */
  compare(members: readonly ComparedMember[]): void {
    for (const what of COMPARED) {
      const groups = groupsOf(
        what === 'config' ? members : members.filter(({ draining }) => !draining),
        what,
      );
      if (groups.length < 2) {
        this.#lasting.delete(what);
        this.#warned.delete(what);
        continue;
      }
      const { began = this.#now(), since = this.#clock() } = this.#lasting.get(what) ?? {};
      this.#lasting.set(what, { groups, began, since });
      if (this.#isLong(began)) this.#warn(what, groups);
    }
  }

  /** What has differed so long that it is a warning. */
  get long(): readonly Compared[] {
    return COMPARED.filter((what) => this.#warned.has(what));
  }

  all(): readonly Difference[] {
    return COMPARED.flatMap((what) => {
      const lasting = this.#lasting.get(what);
      if (!lasting) return [];
      const groups = lasting.groups.map((group) => group.map(({ id }) => id));
      return [{ what, since: lasting.since, isLong: this.#warned.has(what), groups }];
    });
  }

  #isLong(began: number): boolean {
    return this.#now() - began >= WARN_MS;
  }

  #warn(what: Compared, groups: Lasting['groups']): void {
    if (this.#warned.has(what)) return;
    this.#warned.add(what);
    this.#log.warn(WARNINGS[what], { replicas: groups.map(named).join(' | ') });
  }
}

/** Replicas by what they say, the largest group first. A replica of an earlier release says nothing of its lists. */
function groupsOf(
  members: readonly ComparedMember[],
  what: Compared,
): readonly (readonly ComparedMember[])[] {
  const groups = new Map<string, ComparedMember[]>();
  for (const member of members) {
    const said: unknown = member[what];
    if (typeof said !== 'string') continue;
    const group = groups.get(said);
    if (group) group.push(member);
    else groups.set(said, [member]);
  }
  return [...groups.values()].sort((a, b) => b.length - a.length);
}

function named(group: readonly ComparedMember[]): string {
  const shown = group.slice(0, MOST_NAMED).map(({ id, name }) => `${name} (${id})`);
  if (group.length > MOST_NAMED) shown.push(`${group.length - MOST_NAMED} more`);
  return shown.join(', ');
}
