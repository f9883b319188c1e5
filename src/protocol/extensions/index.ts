/** The extensions that the gateway knows. Others pass by what their servers declare. Tasks are part of the bridge: see bridge/tasks. */
import type { JsonObject } from '../../wire/json.js';
import type { Member } from '../../wire/scan.js';
import type { Extension, ExtensionFacts, ExtensionKind, KindFacts } from './extension.js';
import { SKILLS } from './skills.js';
import { UI } from './ui.js';

export type { ExtensionFacts, ExtensionKind, KindFacts } from './extension.js';

const EXTENSIONS: readonly Extension[] = [UI, SKILLS];

const BY_ID: ReadonlyMap<string, Extension> = new Map(EXTENSIONS.map((each) => [each.id, each]));

/** undefined: the gateway does not know it. */
export function extensionOf(id: string): Extension | undefined {
  return BY_ID.get(id);
}

/** Schemes of URIs that name their server on endpoints of several servers. */
export const SCHEMES: readonly string[] = EXTENSIONS.flatMap(({ schemes }) => schemes ?? []);

/** The lists that extensions add. */
export const EXTENSION_LISTS = Object.assign({}, ...EXTENSIONS.map(({ lists }) => lists)) as Readonly<
  Record<ExtensionKind, KindFacts>
>;

/** The extensions that servers are told on connections that several clients share, with their settings. */
export const SHARED: Readonly<Record<string, JsonObject>> = Object.fromEntries(
  EXTENSIONS.flatMap(({ id, shared }) => (shared ? [[id, shared] as const] : [])),
);

/** What extensions say about a definition; undefined: nothing. See Extension.facts. */
export function factsOf(
  kind: string,
  raw: JsonObject,
  bytes: Buffer,
  members: readonly Member[],
): ExtensionFacts | undefined {
  for (const each of EXTENSIONS) {
    const facts = each.facts?.(kind, raw, bytes, members);
    if (facts) return facts;
  }
  return undefined;
}

/** Whether capabilities of a client declare that it shows apps. */
export function showsApps(capabilities: JsonObject): boolean {
  const { extensions } = capabilities;
  return typeof extensions === 'object' && extensions !== null && UI.id in extensions;
}
