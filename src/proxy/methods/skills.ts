/** Skills (SEP-2640): their list, one of them by its URI, and the directories of their files. */
import { GatewayError } from '../../errors.js';
import { qualifyOrigin } from '../../catalog/naming.js';
import { filesOf, SKILLS } from '../../protocol/extensions/skills.js';
import { declaresList } from '../../protocol/lists.js';
import { param } from '../../protocol/message.js';
import type { ServerLink, View } from '../../protocol/ports.js';
import { objectOf } from '../../wire/json.js';
import { answer, refused, type Handled, type Incoming } from '../incoming.js';
import { guarded } from '../guarded.js';
import { list, withHints, type ListDeps } from './lists.js';
import { namedBy } from './named.js';
import { methodNotFound, relay, unknownName, type Named, type RelayDeps } from './relay.js';

const DIRECTORY = 'inode/directory';

const declares = ({ peer }: ServerLink): boolean =>
  peer !== undefined && declaresList('skills', peer.capabilities);

/** Whether any server may have skills. One that is not connected may. */
function offersSkills(view: View): boolean {
  return view.links().some((link) => !link.peer || declares(link));
}

export function listSkills(deps: ListDeps, incoming: Incoming): Handled {
  const { message, caller } = incoming;
  return offersSkills(caller.view)
    ? list(deps, 'skills', incoming)
    : refused(message, methodNotFound(message));
}

export function getSkill(deps: RelayDeps, incoming: Incoming): Handled {
  const { message, caller, merged } = incoming;
  if (!offersSkills(caller.view)) return refused(message, methodNotFound(message));
  const named = namedBy(message, 'uri', 'resource');
  const found = target(incoming, named);
  // A server without the extension serves no skill.
  if (found && merged && found.link.peer && !declares(found.link))
    return refused(message, unknownName(named as Named, incoming));
  return relay(deps, incoming, named);
}

/** `resources/directory/read`: answered from the manifests of listed skills where a server does not read directories. */
export function readDirectory(deps: RelayDeps, incoming: Incoming): Handled {
  const { message, caller, merged, origin } = incoming;
  if (!offersSkills(caller.view)) return refused(message, methodNotFound(message));
  const named = namedBy(message, 'uri', 'resource');
  const found = target(incoming, named);
  const isAnswered = found && merged && found.link.peer && !readsDirectories(found.link);
  if (named instanceof GatewayError || !isAnswered) return relay(deps, incoming, named);
  const denied = guarded(deps, incoming, 'resource', found);
  if (denied) return refused(message, denied);
  const from = startOf(param(message, 'cursor'));
  if (from === undefined) return refused(message, new GatewayError('invalid_params', 'unknown cursor'));
  const page = childrenOf(caller.view, found.link, found.name, from);
  if (!page) return refused(message, unknownName(named, incoming));
  const { resources, next } = page;
  const parts = [
    Buffer.from(JSON.stringify({ resources, ...(next !== undefined && { nextCursor: String(next) }) })),
  ];
  return answer(
    message,
    caller.era === 'legacy' ? parts : withHints(caller.view, deps.views.isPersonal(origin.route), parts),
  );
}

function target({ caller, session }: Incoming, named: Named | GatewayError) {
  return named instanceof GatewayError ? undefined : caller.view.find('resource', named.name, session?.pages);
}

function readsDirectories({ peer }: ServerLink): boolean {
  const settings = objectOf(objectOf(peer?.capabilities['extensions'])?.[SKILLS.id]);
  return settings?.['directoryRead'] === true;
}

/** How many children are on the pages before; undefined: it is no cursor of this method. */
function startOf(cursor: unknown): number | undefined {
  if (cursor === undefined || cursor === null) return 0;
  return typeof cursor === 'string' && /^[1-9]\d{0,8}$/.test(cursor) ? Number(cursor) : undefined;
}

interface Child {
  readonly uri: string;
  readonly name: string;
  readonly mimeType?: string;
}

/** Children on one page. */
const MAX_CHILDREN = 1000;

interface Page {
  readonly resources: readonly Child[];
  /** The number of children before the next page; undefined: there is none. */
  readonly next: number | undefined;
}

/**
 * What is directly in a directory, by the manifests of the skills that a caller sees; undefined: no manifest has such a directory. `from`: the
 * number of children before this page.
 */
function childrenOf(view: View, { server }: ServerLink, directory: string, from: number): Page | undefined {
  const part = view.parts('skills').find(({ link }) => link.server === server);
  const inside = `${withoutSlashes(directory)}/`;
  const seen = new Set<string>();
  const resources: Child[] = [];
  for (const { bytes } of part?.definitions ?? [])
    for (const file of filesOf(bytes) ?? []) {
      if (!file.startsWith(inside)) continue;
      const slash = file.indexOf('/', inside.length);
      const name = file.slice(inside.length, slash === -1 ? undefined : slash);
      // A manifest is complete for its digests; what the caller may not read is in no directory.
      if (name === '' || seen.has(name) || !view.allows(server, 'resource', file)) continue;
      if (seen.size === from + MAX_CHILDREN) return { resources, next: seen.size };
      seen.add(name);
      if (seen.size <= from) continue;
      const uri = `${inside}${name}`;
      resources.push({
        uri: qualifyOrigin(server, uri) ?? uri,
        name: decoded(name),
        ...(slash !== -1 && { mimeType: DIRECTORY }),
      });
    }
  return seen.size === 0 ? undefined : { resources, next: undefined };
}

/** Without the slashes at its end. A loop: a regular expression takes quadratic time for slashes that are not at the end. */
function withoutSlashes(uri: string): string {
  let end = uri.length;
  while (end > 0 && uri[end - 1] === '/') end--;
  return uri.slice(0, end);
}

/** The name of a file in a segment of a URI. */
function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}
