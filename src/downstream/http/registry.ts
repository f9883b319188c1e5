/** Answers the read requests of the API of MCP registries (v0.1), from a fixed list of servers. */
import { GatewayError } from '../../errors.js';
import { publishedName, registryEntry, type PublishedEndpoint } from '../../protocol/cards.js';

export const REGISTRY_PATH = '/v0.1/servers';

/** The number of servers on a page: if the request names none, and at most. */
const USUAL_PAGE = 30;
const MAX_PAGE = 100;
/** RFC 3339. */
const TIME = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?(?:Z|[+-]\d{2}:\d{2})$/i;
/** `<name>/versions`, `<name>/versions/<version>` */
const VERSIONS = /^([^/]{1,600}(?:\/[^/]{1,200})?)\/versions(?:\/([^/]{1,600}))?$/;

interface Entry {
  readonly name: string;
  readonly version: string;
  /** JSON */
  readonly text: string;
}

export class Registry {
  /** By name, in its order. */
  readonly #entries: readonly Entry[];

  constructor(endpoints: readonly PublishedEndpoint[]) {
    this.#entries = endpoints
      .map((endpoint) => ({
        name: publishedName(endpoint),
        version: endpoint.version,
        text: JSON.stringify(registryEntry(endpoint)),
      }))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /**
   * The answer to a GET, as JSON, or the error. `path` begins with `REGISTRY_PATH`; `query`: without the `?`; `now`: Unix time in
   * milliseconds.
   */
  answer(path: string, query: string, now: number): string | GatewayError {
    if (path === REGISTRY_PATH) return this.#list(new URLSearchParams(query), now);
    const [, written, version] = VERSIONS.exec(path.slice(REGISTRY_PATH.length + 1)) ?? [];
    // Proxies may have decoded the slash in the name.
    const name = decoded(written);
    const found = this.#entries.find((entry) => entry.name === name);
    if (!found) return new GatewayError('not_found', `no such server here: GET ${REGISTRY_PATH} lists them`);
    if (version === undefined) return page([found]);
    const wanted = decoded(version);
    return wanted === 'latest' || wanted === found.version
      ? found.text
      : new GatewayError('not_found', `no such version of '${found.name}': its only one is ${found.version}`);
  }

  #list(query: URLSearchParams, now: number): string | GatewayError {
    const limit = query.get('limit') ?? String(USUAL_PAGE);
    if (!/^\d{1,9}$/.test(limit) || Number(limit) === 0)
      return new GatewayError('invalid_request', `limit must be a number from 1 to ${MAX_PAGE}`);
    // A plus sign that is not encoded arrives as a space.
    const since = query.get('updated_since')?.replace(' ', '+') ?? '';
    if (since !== '' && !(TIME.test(since) && Number.isFinite(Date.parse(since))))
      return new GatewayError('invalid_request', 'updated_since must be a time such as 2026-01-31T12:00:00Z');
    const [cursor, version] = [query.get('cursor') ?? '', query.get('version') ?? ''];
    const search = (query.get('search') ?? '').toLowerCase();
    // When an entry was last changed is not known: any may have been since a time in the past.
    const none = since !== '' && Date.parse(since) > now;
    const found = this.#entries.filter(
      (entry) =>
        !none &&
        entry.name > cursor &&
        (version === '' || version === 'latest' || version === entry.version) &&
        entry.name.toLowerCase().includes(search),
    );
    return page(found, Math.min(Number(limit), MAX_PAGE));
  }
}

/** The cursor is the name of the last server of a page, so that it holds over reloads. */
function page(found: readonly Entry[], limit = MAX_PAGE): string {
  const shown = found.slice(0, limit);
  const next = found.length > limit ? `"nextCursor":${JSON.stringify(shown.at(-1)?.name)},` : '';
  const servers = shown.map(({ text }) => text).join(',');
  return `{"servers":[${servers}],"metadata":{${next}"count":${shown.length}}}`;
}

/** undefined: it is not percent-encoded UTF-8. */
function decoded(text = ''): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}
