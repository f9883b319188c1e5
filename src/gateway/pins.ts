/** Approved definitions by server, kept in the state: the first sight of a server is trusted, what is new or changed later waits for an approval. */
import { digestOf, type PinMode, type PinnedKind, type Pins } from '../catalog/pins.js';
import { sha256 } from '../lib/sha256.js';
import { GatewayError } from '../errors.js';
import type { Boundary } from '../observe/boundary.js';
import type { Logger } from '../observe/log.js';
import type { GatewayStats } from '../observe/stats.js';
import type { Definition } from '../protocol/lists.js';
import type { Link, LinkEvents, Principal } from '../protocol/ports.js';
import type { Era } from '../protocol/revisions.js';
import type { State } from '../state/open.js';
import { isObject, readJson, textOf, type JsonObject } from '../wire/json.js';

/** Digests per name, approved ones and others. The oldest goes first. */
const MAX_DIGESTS = 16;
/** Names per server that wait for an approval. */
const MAX_PENDING = 10_000;
const INSTRUCTIONS = 'instructions';

export interface PinsDeps {
  readonly modes: () => ReadonlyMap<string, PinMode>;
  /** Resolves with the same state each time. */
  readonly open: () => Promise<State>;
  readonly log: Logger;
  readonly boundary: Boundary;
  readonly stats: GatewayStats;
  /** What clients see of a server has changed. */
  readonly changed: (server: string) => void;
  /** For the audit log. */
  readonly acted: (act: string, server: string, subject: string, by: Principal | undefined) => void;
  /** Unix milliseconds. */
  readonly clock: () => number;
}

/** One definition of a name. */
export interface Entry {
  readonly digest: string;
  /** Its JSON, or the text of instructions. */
  readonly definition: string;
  /** ISO 8601 */
  readonly when: string;
  /** The principal that approved it, or `first sight`. */
  readonly who: string;
}

interface Item {
  readonly approved: Map<string, Entry>;
  readonly pending: Map<string, Entry>;
}

interface Book {
  generation: number;
  /** The eras in which the server was seen. */
  readonly eras: Set<Era>;
  /** By kind and name: `tool read`, `instructions`. */
  readonly items: Map<string, Item>;
}

/** An item as operators see it. */
export interface ShownPin {
  readonly kind: PinnedKind | 'instructions';
  readonly name: string;
  readonly state: 'approved' | 'pending';
  readonly approved: readonly Entry[];
  readonly pending: readonly Entry[];
}

export class PinBook implements Pins {
  version = 0;
  readonly #deps: PinsDeps;
  /** undefined: it is being read. */
  readonly #books = new Map<string, Book | undefined>();
  readonly #links = new Map<string, Map<string, Link>>();
  readonly #writing = new Map<string, Promise<void>>();

  constructor(deps: PinsDeps) {
    this.#deps = deps;
  }

  mode(server: string): PinMode {
    return this.#deps.modes().get(server) ?? 'off';
  }

  approves(server: string, kind: PinnedKind, definition: Definition): boolean {
    const book = this.#books.get(server);
    if (!book) return false;
    const name = `${kind} ${definition.key}`;
    const digest = digestOf(definition);
    if (book.items.get(name)?.approved.has(digest)) return true;
    this.#note(server, book, name, digest, () => definition.bytes.toString('utf8'));
    return false;
  }

  knows(server: string, kind: PinnedKind, name: string): boolean {
    return (this.#books.get(server)?.items.get(`${kind} ${name}`)?.approved.size ?? 0) > 0;
  }

  approved(server: string, kind: PinnedKind, name: string): Buffer | undefined {
    const entry = [...(this.#books.get(server)?.items.get(`${kind} ${name}`)?.approved.values() ?? [])].at(
      -1,
    );
    return entry && Buffer.from(entry.definition);
  }

  approvesInstructions(server: string, instructions: string): boolean {
    const book = this.#books.get(server);
    if (!book) return false;
    const digest = sha256(instructions);
    if (book.items.get(INSTRUCTIONS)?.approved.has(digest)) return true;
    this.#note(server, book, INSTRUCTIONS, digest, () => instructions);
    return false;
  }

  /** The lists of a link may have changed. */
  observe(link: Link): void {
    const { server } = link;
    if (this.mode(server) === 'off') return;
    let links = this.#links.get(server);
    if (!links) this.#links.set(server, (links = new Map<string, Link>()));
    if (link.state === 'down' || link.state === 'draining') links.delete(link.key);
    else links.set(link.key, link);
    const book = this.#books.get(server);
    if (book) this.#look(link, book);
    else if (!this.#books.has(server)) this.#read(server);
  }

  /** What is approved and what waits. `server`: undefined: of all servers. */
  shown(
    server?: string,
  ): { readonly server: string; readonly mode: PinMode; readonly items: readonly ShownPin[] }[] {
    return [...this.#deps.modes()].flatMap(([name, mode]) => {
      if (mode === 'off' || (server !== undefined && server !== name)) return [];
      const items = [...(this.#books.get(name)?.items ?? [])].map(([key, { approved, pending }]) => ({
        ...partsOf(key),
        state: pending.size > 0 ? ('pending' as const) : ('approved' as const),
        approved: [...approved.values()],
        pending: [...pending.values()],
      }));
      return [{ server: name, mode, items }];
    });
  }

  /**
   * Approves what waits. `names`: undefined: everything. Resolves with the approved names, once they are written. Rejects with a GatewayError.
   */
  async approve(server: string, names: readonly string[] | undefined, by: Principal): Promise<string[]> {
    const book = this.#books.get(server);
    if (!book) throw new GatewayError('invalid_params', `no definitions of '${server}' are pinned`);
    const when = new Date(this.#deps.clock()).toISOString();
    const done: string[] = [];
    for (const [key, item] of book.items) {
      const { name } = partsOf(key);
      if (item.pending.size === 0 || (names && !names.includes(name))) continue;
      for (const entry of item.pending.values()) add(item.approved, { ...entry, when, who: by.id });
      item.pending.clear();
      done.push(name);
      this.#deps.acted('approve', server, name, by);
    }
    const missing = names?.find((name) => !done.includes(name));
    if (missing !== undefined && done.length === 0)
      throw new GatewayError('invalid_params', `nothing of '${missing.slice(0, 128)}' waits for an approval`);
    this.#turned(server, book);
    await this.#write(server);
    return done;
  }

  #look(link: Link, book: Book): void {
    // Kept lists are from an earlier run, and were looked at then.
    if (link.state !== 'up' || link.keptSince !== undefined || !link.peer) return;
    const { server, lists, peer } = link;
    const isFirst = !book.eras.has(peer.era);
    const when = new Date(this.#deps.clock()).toISOString();
    if (isFirst) {
      for (const [kind, definitions] of [
        ['tool', lists.tools],
        ['prompt', lists.prompts],
      ] as const)
        for (const definition of definitions) {
          const entry = { digest: digestOf(definition), definition: definition.bytes.toString('utf8') };
          add(itemOf(book, `${kind} ${definition.key}`).approved, { ...entry, when, who: 'first sight' });
        }
      const { instructions } = peer;
      if (instructions !== undefined)
        add(itemOf(book, INSTRUCTIONS).approved, {
          digest: sha256(instructions),
          definition: instructions,
          when,
          who: 'first sight',
        });
      book.eras.add(peer.era);
      this.#deps.log.info('definitions pinned at first sight', {
        server,
        era: peer.era,
        tools: lists.tools.length,
        prompts: lists.prompts.length,
      });
      this.#turned(server, book);
      this.#deps.boundary.detach('detached', this.#write(server));
      return;
    }
    for (const definition of lists.tools) this.approves(server, 'tool', definition);
    for (const definition of lists.prompts) this.approves(server, 'prompt', definition);
    if (peer.instructions !== undefined) this.approvesInstructions(server, peer.instructions);
    this.#measure(server, book);
  }

  /** A definition that is not approved. */
  #note(server: string, book: Book, key: string, digest: string, text: () => string): void {
    if (book.eras.size === 0 || this.mode(server) === 'off') return;
    const known = book.items.get(key);
    if (known?.pending.has(digest)) return;
    if (!known && book.items.size >= MAX_PENDING) return;
    const item = itemOf(book, key);
    const definition = text();
    const before = [...item.approved.values()].at(-1)?.definition;
    add(item.pending, { digest, definition, when: new Date(this.#deps.clock()).toISOString(), who: '' });
    const { kind, name } = partsOf(key);
    this.#deps.log.warn('definition changed', {
      server,
      [kind === 'prompt' ? 'prompt' : 'tool']: kind === 'instructions' ? undefined : name.slice(0, 128),
      members: kind === 'instructions' ? INSTRUCTIONS : membersThatDiffer(before, definition).join(', '),
    });
    this.#deps.acted('changed', server, name, undefined);
    this.#measure(server, book);
  }

  #turned(server: string, book: Book): void {
    this.version++;
    this.#measure(server, book);
    this.#deps.changed(server);
  }

  #measure(server: string, { items }: Book): void {
    let approved = 0;
    let pending = 0;
    for (const item of items.values()) {
      if (item.approved.size > 0) approved++;
      if (item.pending.size > 0) pending++;
    }
    this.#deps.stats.pins.set(server, { approved, pending });
  }

  #read(server: string): void {
    this.#books.set(server, undefined);
    const reading = this.#load(server).then((book) => {
      this.#books.set(server, book);
      for (const link of this.#links.get(server)?.values() ?? []) this.#look(link, book);
      this.#turned(server, book);
    });
    this.#deps.boundary.detach('detached', reading, (error) => {
      this.#books.delete(server);
      this.#deps.log.error('pins cannot be read: definitions count as not approved', {
        server,
        error: error.message,
      });
    });
  }

  async #load(server: string): Promise<Book> {
    const { store } = await this.#deps.open();
    const stored = await store.get(`pin:${server}`);
    return bookOf(stored?.value, stored?.generation ?? 0);
  }

  /** Writes the approved definitions of a server; one write at a time. */
  #write(server: string): Promise<void> {
    const next = (this.#writing.get(server) ?? Promise.resolve()).then(() => this.#writeNow(server));
    const settled = next
      .catch(() => undefined)
      .then(() => {
        if (this.#writing.get(server) === settled) this.#writing.delete(server);
      });
    this.#writing.set(server, settled);
    return next;
  }

  async #writeNow(server: string): Promise<void> {
    const book = this.#books.get(server);
    if (!book) return;
    const { store } = await this.#deps.open();
    const key = `pin:${server}`;
    for (let attempt = 0; attempt < 5; attempt++) {
      if (await store.put(key, recordOf(book), book.generation)) {
        book.generation = (await store.get(key))?.generation ?? book.generation;
        return;
      }
      // Another process has written: what it approved counts, too.
      const stored = await store.get(key);
      const other = bookOf(stored?.value, stored?.generation ?? 0);
      book.generation = other.generation;
      for (const [name, { approved }] of other.items)
        for (const entry of approved.values()) add(itemOf(book, name).approved, entry);
      for (const era of other.eras) book.eras.add(era);
    }
    throw new GatewayError('unavailable', `the pins of '${server}' are being changed by another process`);
  }
}

/** The events of a link, whose lists are looked at first. */
export function pinning(pins: PinBook, events: LinkEvents): LinkEvents {
  return {
    ...events,
    state: (link, kinds) => {
      pins.observe(link);
      events.state(link, kinds);
    },
    changed: (link, kinds) => {
      pins.observe(link);
      events.changed(link, kinds);
    },
  };
}

function itemOf({ items }: Book, key: string): Item {
  let item = items.get(key);
  if (!item) items.set(key, (item = { approved: new Map(), pending: new Map() }));
  return item;
}

function add(entries: Map<string, Entry>, entry: Entry): void {
  entries.delete(entry.digest);
  entries.set(entry.digest, entry);
  if (entries.size > MAX_DIGESTS) entries.delete(entries.keys().next().value as string);
}

function partsOf(key: string): { readonly kind: ShownPin['kind']; readonly name: string } {
  if (key === INSTRUCTIONS) return { kind: INSTRUCTIONS, name: INSTRUCTIONS };
  const at = key.indexOf(' ');
  return { kind: key.slice(0, at) as PinnedKind, name: key.slice(at + 1) };
}

/** Names of the members that differ; of a new definition, all. */
function membersThatDiffer(before: string | undefined, after: string): string[] {
  const read = (text: string | undefined): JsonObject => {
    const value = text === undefined ? undefined : readJson(Buffer.from(text));
    return isObject(value) ? value : {};
  };
  const [old, next] = [read(before), read(after)];
  const names = new Set([...Object.keys(old), ...Object.keys(next)]);
  names.delete('_meta');
  return [...names]
    .filter((name) => JSON.stringify(old[name]) !== JSON.stringify(next[name]))
    .map((name) => name.slice(0, 64))
    .slice(0, 16);
}

function recordOf({ eras, items }: Book): object {
  return {
    eras: [...eras],
    items: Object.fromEntries(
      [...items].flatMap(([key, { approved }]) => (approved.size > 0 ? [[key, [...approved.values()]]] : [])),
    ),
  };
}

/** Reads a record; what it does not understand is left out, and so not approved. */
function bookOf(value: unknown, generation: number): Book {
  const book: Book = { generation, eras: new Set(), items: new Map() };
  if (!isObject(value)) return book;
  const { eras, items } = value;
  if (Array.isArray(eras))
    for (const era of eras as unknown[]) if (era === 'legacy' || era === 'modern') book.eras.add(era);
  if (!isObject(items)) return book;
  for (const [key, entries] of Object.entries(items))
    for (const entry of Array.isArray(entries) ? (entries as unknown[]) : []) {
      if (!isObject(entry)) continue;
      const [digest, definition] = [textOf(entry['digest']), textOf(entry['definition'])];
      if (digest === undefined || definition === undefined) continue;
      const [when, who] = [textOf(entry['when']) ?? '', textOf(entry['who']) ?? ''];
      add(itemOf(book, key).approved, { digest, definition, when, who });
    }
  return book;
}
