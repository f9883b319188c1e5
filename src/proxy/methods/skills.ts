/** Skills (SEP-2640): their list, one of them by its URI, and the directories of their files. */
import { GatewayError } from '../../errors.js';
import { qualifyOrigin } from '../../catalog/naming.js';
import { filesOf } from '../../protocol/extensions/skills.js';
import { declaresList } from '../../protocol/lists.js';
import { param } from '../../protocol/message.js';
import type { ServerLink, View } from '../../protocol/ports.js';
import { objectOf } from '../../wire/json.js';
import { answer, refused, type Handled, type Incoming } from '../incoming.js';
import { guarded } from '../guarded.js';
import { list, withHints, type ListDeps } from './lists.js';
import { namedBy } from './named.js';
import { methodNotFound, relay, unknownName, type Named, type RelayDeps } from './relay.js';

const SKILLS = 'io.modelcontextprotocol/skills';
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
  const cursor = param(message, 'cursor');
  if (cursor !== undefined && cursor !== null)
    return refused(message, new GatewayError('invalid_params', 'unknown cursor: a directory is one page'));
  const children = childrenOf(caller.view, found.link, found.name);
  if (!children) return refused(message, unknownName(named, incoming));
  const parts = [Buffer.from(`{"resources":${JSON.stringify(children)}}`)];
  return answer(
    message,
    caller.era === 'legacy' ? parts : withHints(caller.view, deps.views.isPersonal(origin.route), parts),
  );
}

function target({ caller, session }: Incoming, named: Named | GatewayError) {
  return named instanceof GatewayError ? undefined : caller.view.find('resource', named.name, session?.pages);
}

function readsDirectories({ peer }: ServerLink): boolean {
  const settings = objectOf(objectOf(peer?.capabilities['extensions'])?.[SKILLS]);
  return settings?.['directoryRead'] === true;
}

interface Child {
  readonly uri: string;
  readonly name: string;
  readonly mimeType?: string;
}

/** What is directly in a directory, by the manifests of the skills that a caller sees; undefined: no manifest has such a directory. */
function childrenOf(view: View, { server }: ServerLink, directory: string): readonly Child[] | undefined {
  const part = view.parts('skills').find(({ link }) => link.server === server);
  const inside = `${withoutSlashes(directory)}/`;
  const children = new Map<string, Child>();
  for (const { bytes } of part?.definitions ?? [])
    for (const file of filesOf(bytes) ?? []) {
      // A manifest is complete for its digests; what the caller may not read is in no directory.
      if (!file.startsWith(inside) || !view.allows(server, 'resource', file)) continue;
      const [name = '', ...rest] = file.slice(inside.length).split('/');
      if (name === '' || children.has(name)) continue;
      const uri = `${inside}${name}`;
      const shown = qualifyOrigin(server, uri) ?? uri;
      children.set(name, {
        uri: shown,
        name: decoded(name),
        ...(rest.length > 0 && { mimeType: DIRECTORY }),
      });
    }
  return children.size === 0 ? undefined : [...children.values()];
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
