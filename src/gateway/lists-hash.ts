/**
 * A hash of what a gateway lists for a caller without restrictions, so that replicas of a fleet can compare it. It changes when a server
 * comes, goes, or lists something else.
 */
import { createHash, createHmac } from 'node:crypto';
import { isPerUser } from '../config/credentials.js';
import type { Config, ServerConfig } from '../config/types.js';
import { LIST_KINDS, type Definition } from '../protocol/lists.js';
import type { ListPart, View } from '../protocol/ports.js';
import { routeTo } from '../proxy/route.js';
import type { Views } from '../proxy/views.js';
import { placementOf } from './placed.js';

const HASH_CHARACTERS = 22;

export interface ListsHashDeps {
  readonly views: () => Pick<Views, 'whole'>;
  readonly config: () => Config;
}

interface Known {
  readonly view: View;
  readonly version: number;
  readonly config: Config;
  readonly hash: string;
}

export class ListsHash {
  readonly #deps: ListsHashDeps;
  #known: Known | undefined;
  /** Of definitions, by their array: it is another one when a list has changed. */
  readonly #whole = new WeakMap<readonly Definition[], Buffer>();
  readonly #names = new WeakMap<readonly Definition[], Buffer>();

  constructor(deps: ListsHashDeps) {
    this.#deps = deps;
  }

  /** 22 characters. Computed anew only when the catalog or the configuration has changed. `key`: nobody else can tell what is listed. */
  of(key: Buffer): string {
    const config = this.#deps.config();
    const { registry, view } = this.#deps.views().whole(routeTo({}));
    const { version } = registry;
    const known = this.#known;
    if (known?.view === view && known.version === version && known.config === config) return known.hash;
    const hash = this.#hash(view, config, key);
    this.#known = { view, version, config, hash };
    return hash;
  }

  #hash(view: View, config: Config, key: Buffer): string {
    const servers = new Map(config.servers.map((server) => [server.name, server]));
    const hmac = createHmac('sha256', key);
    for (const kind of LIST_KINDS)
      for (const part of [...view.parts(kind)].sort(byServer)) {
        const { server } = part.link;
        const written = servers.get(server);
        const digest = written && this.#digest(part, written);
        if (digest) hmac.update(`${kind}\0${server}\0`).update(digest);
      }
    return hmac.digest('base64url').slice(0, HASH_CHARACTERS);
  }

  /** undefined: replicas may differ in it. */
  #digest({ definitions }: ListPart, config: ServerConfig): Buffer | undefined {
    // Each user has lists of his own there, at the replicas that he uses.
    if (isPerUser(config)) return undefined;
    // Only one process has the definitions of the server itself; the others read them through that one, which may change them.
    if (placementOf(config)) return digestOf(definitions, this.#names, ({ key }) => key);
    return digestOf(definitions, this.#whole, ({ bytes }) => bytes);
  }
}

/** Whatever the order is. `of`: what counts of a definition. */
function digestOf(
  definitions: readonly Definition[],
  known: WeakMap<readonly Definition[], Buffer>,
  of: (definition: Definition) => Buffer | string,
): Buffer {
  const before = known.get(definitions);
  if (before) return before;
  const digests = definitions
    .map((each) => createHash('sha256').update(of(each)).digest())
    .sort((a, b) => a.compare(b));
  const digest = createHash('sha256').update(Buffer.concat(digests)).digest();
  known.set(definitions, digest);
  return digest;
}

function byServer({ link: a }: ListPart, { link: b }: ListPart): number {
  return a.server < b.server ? -1 : 1;
}
