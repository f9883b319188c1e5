/** MCP Apps (2026-01-26): tools whose results a page of their server shows. */
import { arrayOf, objectOf, type JsonObject } from '../../wire/json.js';
import type { Member } from '../../wire/scan.js';
import { membersOf } from '../../wire/walk.js';
import type { Extension, ExtensionFacts, UriSpan } from './extension.js';

const OPEN_OBJECT = 0x7b;
const SCHEME = 'ui://';

/** Members of `_meta` that name the page, beside `ui.resourceUri`: those of hosts that came before the extension. */
const PAGES: ReadonlySet<string> = new Set(['ui/resourceUri', 'openai/outputTemplate']);

export const UI: Extension = {
  id: 'io.modelcontextprotocol/ui',
  shared: { mimeTypes: ['text/html;profile=mcp-app'] },
  schemes: ['ui'],
  merge: (all) => Object.assign({}, ...all) as JsonObject,
  facts: (kind, raw, bytes, members) => (kind === 'tools' ? ofTool(raw, bytes, members) : undefined),
};

function ofTool(raw: JsonObject, bytes: Buffer, members: readonly Member[]): ExtensionFacts | undefined {
  const meta = objectOf(raw['_meta']);
  if (!meta) return undefined;
  const uris: UriSpan[] = [];
  // Readers differ about members that are there twice: all are replaced.
  for (const own of members)
    if (own.key === '_meta' && bytes[own.start] === OPEN_OBJECT)
      for (const member of membersOf(bytes, own.start)) {
        if (PAGES.has(member.key)) note(uris, bytes, member);
        if (member.key === 'ui' && bytes[member.start] === OPEN_OBJECT)
          for (const inner of membersOf(bytes, member.start))
            if (inner.key === 'resourceUri') note(uris, bytes, inner);
      }
  const visibility = visibilityOf(arrayOf(objectOf(meta['ui'])?.['visibility']));
  if (uris.length === 0 && visibility === undefined) return undefined;
  return { uris, page: uris[0]?.uri, visibility };
}

function note(uris: UriSpan[], bytes: Buffer, { start, end }: Member): void {
  if (bytes[start] !== 0x22) return;
  const uri = JSON.parse(bytes.toString('utf8', start, end)) as string;
  if (uri.startsWith(SCHEME)) uris.push({ start, end, uri });
}

/** undefined: everybody, which is the default. */
function visibilityOf(listed: readonly unknown[] | undefined): ExtensionFacts['visibility'] {
  if (!listed) return undefined;
  const [app, model] = [listed.includes('app'), listed.includes('model')];
  if (app && model) return undefined;
  return app ? 'app' : model ? 'model' : 'none';
}
