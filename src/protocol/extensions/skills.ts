/** Skills (SEP-2640): directories of files that a server lists, and serves as resources. */
import { arrayOf, objectOf, textOf } from '../../wire/json.js';
import type { Member } from '../../wire/scan.js';
import { elementsOf, membersOf } from '../../wire/walk.js';
import type { Extension, ExtensionFacts, UriSpan } from './extension.js';

const OPEN_OBJECT = 0x7b;
const OPEN_ARRAY = 0x5b;
/** Of URIs that name their server. */
const SCHEMES: readonly string[] = ['skill://', 'ui://'];

export const SKILLS: Extension = {
  id: 'io.modelcontextprotocol/skills',
  schemes: ['skill'],
  // Directories of servers that do not read them are answered from the manifests of their skills.
  merge: (all) => (all.some((own) => own['directoryRead'] === true) ? { directoryRead: true } : {}),
  lists: {
    skills: {
      method: 'skills/list',
      member: 'skills',
      key: 'uri',
      extension: 'io.modelcontextprotocol/skills',
      singular: 'skill',
    },
  },
  facts: (kind, _raw, bytes, members) => (kind === 'skills' ? ofSkill(bytes, members) : undefined),
};

/** The URIs of the files in the manifest of a skill. */
function ofSkill(bytes: Buffer, members: readonly Member[]): ExtensionFacts | undefined {
  const uris: UriSpan[] = [];
  for (const own of members)
    if (own.key === 'resources' && bytes[own.start] === OPEN_ARRAY)
      for (const element of elementsOf(bytes, own.start)) {
        if (bytes[element.start] !== OPEN_OBJECT) continue;
        for (const { key, start, end } of membersOf(bytes, element.start)) {
          if (key !== 'uri' || bytes[start] !== 0x22) continue;
          const uri = JSON.parse(bytes.toString('utf8', start, end)) as string;
          if (SCHEMES.some((each) => uri.startsWith(each))) uris.push({ start, end, uri });
        }
      }
  return uris.length === 0 ? undefined : { uris };
}

const known = new WeakMap<Buffer, readonly string[] | 'none'>();

/** The URIs of the files of a skill, read once; undefined: it has no manifest, because its files are made when they are read. */
export function filesOf(definition: Buffer): readonly string[] | undefined {
  let files = known.get(definition);
  if (!files) {
    const skill = objectOf(JSON.parse(definition.toString('utf8')) as unknown);
    files = arrayOf(skill?.['resources'])?.flatMap((file) => textOf(objectOf(file)?.['uri']) ?? []) ?? 'none';
    known.set(definition, files);
  }
  return files === 'none' ? undefined : files;
}
