/** What the gateway knows of an extension of MCP (SEP-2133): each has one file in this folder, and one line in the list of `index.ts`. */
import type { JsonObject } from '../../wire/json.js';
import type { Member, Span } from '../../wire/scan.js';

/** Lists that extensions add. */
export type ExtensionKind = 'skills';

/** How a list is read and shown. */
export interface KindFacts {
  readonly method: string;
  /** The member of the result that contains the list. */
  readonly member: string;
  /** The member of a definition that names it. */
  readonly key: 'name' | 'uri' | 'uriTemplate';
  /** The capability that declares it; undefined: an extension does. */
  readonly capability?: 'tools' | 'prompts' | 'resources';
  /** The id of the extension that declares it. */
  readonly extension?: string;
  readonly singular: string;
}

/** A JSON string of a definition that holds a URI. */
export interface UriSpan extends Span {
  readonly uri: string;
}

/** What extensions say about a definition. */
export interface ExtensionFacts {
  /** URIs whose scheme belongs to an extension, in order, without the key of the definition. */
  readonly uris: readonly UriSpan[];
  /** The page that shows the results of a tool: a `ui://` URI. */
  readonly page?: string | undefined;
  /** Who may call a tool, if not everybody: only pages of its server, only the model, or nobody. */
  readonly visibility?: 'app' | 'model' | 'none' | undefined;
}

export interface Extension {
  readonly id: string;
  /** The settings that servers are told on connections that several clients share; undefined: they are not told. */
  readonly shared?: JsonObject;
  /** The settings that clients of several servers are told. `all`: those of the servers that declare it, at least one. */
  merge(all: readonly JsonObject[]): JsonObject;
  /** URI schemes whose URIs name their server on endpoints of several servers. */
  readonly schemes?: readonly string[];
  /** Lists that it adds. */
  readonly lists?: Readonly<Partial<Record<ExtensionKind, KindFacts>>>;
  /**
   * What it says about a definition; undefined: nothing. `raw`: the parsed definition. `members`: where its members are in `bytes`. `kind`:
   * that of the list.
   */
  facts?(
    kind: string,
    raw: JsonObject,
    bytes: Buffer,
    members: readonly Member[],
  ): ExtensionFacts | undefined;
}
