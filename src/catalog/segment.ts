/**
 * A segment is the part of a list that comes from one server: names and rendered bytes. The merged endpoint's list is a sequence of
 * segments. All views share them: there is one segment per array of definitions, so a change re-renders only the servers that changed.
 */
import { createHash } from 'node:crypto';
import type { ExtensionFacts } from '../protocol/extensions/index.js';
import type { Definition, ListKind } from '../protocol/lists.js';
import type { Link, ServerLink, Target } from '../protocol/ports.js';
import type { Era } from '../protocol/revisions.js';
import { splice, type Patch } from '../wire/splice.js';
import { eraPatches } from './era-patches.js';
import { qualify, qualifyOrigin, qualifyUri } from './naming.js';
import { renaming, type Rendered } from './render.js';

/** `own`: names as the server wrote them, for the route of one server. `qualified`: names of the merged endpoint. */
export type Form = 'own' | 'qualified';

/** Whether the definitions of a list are named by URIs. */
export function isUriKind(kind: ListKind): boolean {
  return kind === 'resources' || kind === 'templates' || kind === 'skills';
}

/** Definitions are rendered into buffers of about this size. */
const PART_BYTES = 65_536;
/** How many definitions are rendered without a pause. */
const STEP = 16;
/** Maximum rendered bytes of filtered lists that are cached. The least recently used ones are dropped, and rendered again when needed. */
const FILTERED_BYTES = 67_108_864;

const COMMA = Buffer.from(',');

interface SegmentOptions {
  readonly link: ServerLink;
  readonly kind: ListKind;
  readonly definitions: readonly Definition[];
  readonly form: Form;
  /** limits.name_length */
  readonly nameLength: number;
  /** Names that other servers have already; see Segments.without. */
  readonly taken?: ReadonlySet<string>;
  /** Called when the rendered bytes are used, to find the least recently used ones; undefined: they are never dropped. */
  readonly used?: (bytes: RenderedBytes) => void;
}

/** The rendered bytes of a segment, apart from it: what is cached keeps neither the segment nor its link alive. */
class RenderedBytes {
  /** The bytes without any change for an era, once they were rendered; an era that needs no change shares them. */
  plain: Rendered | undefined;
  legacy: Rendered | undefined;
  modern: Rendered | undefined;

  /** The number of cached bytes. */
  get size(): number {
    const { legacy, modern } = this;
    return (legacy?.bytes ?? 0) + (modern === legacy ? 0 : (modern?.bytes ?? 0));
  }

  clear(): void {
    this.plain = this.legacy = this.modern = undefined;
  }
}

export class Segment {
  readonly link: ServerLink;
  readonly kind: ListKind;
  /** Definitions by their name in this list, in list order. */
  readonly names: ReadonlyMap<string, Definition>;
  /** Whether another server may list some of the same names. */
  readonly contested: boolean;
  readonly definitions: readonly Definition[];
  /** Names that it leaves out, because other servers have them or the list does not show them. */
  readonly taken: ReadonlySet<string> | undefined;
  readonly #form: Form;
  readonly #used: ((bytes: RenderedBytes) => void) | undefined;
  readonly #targets = new Map<string, Target>();
  readonly #rendered = new RenderedBytes();
  readonly #rendering: Record<Era, Generator<undefined, Rendered> | undefined> = {
    legacy: undefined,
    modern: undefined,
  };

  constructor({ link, kind, definitions, form, nameLength, taken, used }: SegmentOptions) {
    this.link = link;
    this.kind = kind;
    this.definitions = definitions;
    this.taken = taken;
    this.#form = form;
    this.#used = used;
    const { server } = link;
    const isUri = isUriKind(kind);
    const names = new Map<string, Definition>();
    let contested = form === 'qualified' && isUri && definitions.length > 0;
    for (const definition of definitions) {
      const { key } = definition;
      const called = definition.shown ?? key;
      let name =
        form === 'own'
          ? called
          : isUri
            ? (qualifyOrigin(server, called) ?? called)
            : qualify(server, called, nameLength);
      if (form === 'qualified') {
        // An alias that cuts off part of the server's name does not identify the server.
        if (!isUri && !name.startsWith(`${server}__`)) contested = true;
        if (taken?.has(name) || names.has(name)) {
          if (!isUri) continue;
          name = qualifyUri(server, key);
          if (names.has(name)) continue;
        }
      }
      names.set(name, definition);
    }
    this.names = names;
    this.contested = contested;
  }

  /** The target of a name; undefined: this segment does not list it. */
  find(name: string): Target | undefined {
    const known = this.#targets.get(name);
    if (known) return known;
    const definition = this.names.get(name);
    if (!definition) return undefined;
    const target = this.#targetOf(name, definition);
    this.#targets.set(name, target);
    return target;
  }

  #targetOf(name: string, definition: Definition): Target {
    const { key } = definition;
    return {
      link: this.link,
      name: key,
      patch: name === key ? undefined : Buffer.from(JSON.stringify(key)),
      label: key,
      repeatable: this.kind === 'tools' ? definition.repeatable : true,
      definition,
      stats: undefined,
    };
  }

  /** One definition as the list shows it; undefined: the list does not have it. */
  bytesFor(name: string, era: Era): Buffer | undefined {
    const definition = this.names.get(name);
    return definition && this.#bytesOf(name, definition, eraPatches(definition, era));
  }

  /** The number of cached bytes. */
  get bytes(): number {
    return this.#rendered.size;
  }

  isRendered(era: Era): boolean {
    return this.#rendered[era] !== undefined;
  }

  /** Whether its rendered bytes may be dropped, because it leaves out a part of the server's list. */
  get isFiltered(): boolean {
    return this.#used !== undefined;
  }

  /** Renders what is not rendered yet, without a pause. */
  render(era: Era): Rendered {
    let rendered = this.#rendered[era];
    while (!rendered) rendered = this.step(era);
    this.#used?.(this.#rendered);
    return rendered;
  }

  /** Renders the next part; undefined: more parts follow. */
  step(era: Era): Rendered | undefined {
    const rendering = (this.#rendering[era] ??= this.#render(era));
    const { done, value } = rendering.next();
    if (!done) return undefined;
    this.#rendering[era] = undefined;
    this.#rendered[era] = value;
    this.#used?.(this.#rendered);
    return value;
  }

  *#render(era: Era): Generator<undefined, Rendered> {
    const { plain } = this.#rendered;
    if (plain && !(yield* this.#differs(era))) return plain;
    const parts: Buffer[] = [];
    const hash = createHash('sha256');
    let pending: Buffer[] = [];
    let pendingBytes = 0;
    let bytes = 0;
    let changed = false;
    const flush = (): void => {
      const part = Buffer.concat(pending, pendingBytes);
      hash.update(part);
      parts.push(part);
      bytes += part.length;
      pending = [];
      pendingBytes = 0;
    };
    let count = 0;
    for (const [name, definition] of this.names) {
      if (count > 0) {
        pending.push(COMMA);
        pendingBytes++;
        if (count % STEP === 0) yield;
      }
      count++;
      const forEra = eraPatches(definition, era);
      if (forEra.length > 0) changed = true;
      const shown = this.#bytesOf(name, definition, forEra);
      pending.push(shown);
      pendingBytes += shown.length;
      if (pendingBytes < PART_BYTES) continue;
      flush();
      yield;
    }
    if (pendingBytes > 0) flush();
    const rendered = { parts, bytes, digest: hash.digest('base64url') };
    if (!changed) this.#rendered.plain = rendered;
    return rendered;
  }

  #bytesOf(name: string, definition: Definition, forEra: Patch[]): Buffer {
    const { key, bytes, extension } = definition;
    // The patch of the name comes first, because patches for the era may start immediately after it.
    const patches =
      name === key ? forEra : [...renaming(this.kind, definition, this.link.server, name), ...forEra];
    const all = extension && this.#form === 'qualified' ? [...patches, ...this.#origins(extension)] : patches;
    return all.length === 0 ? bytes : splice(bytes, all);
  }

  /** Patches that name the server in the URIs of a definition. */
  #origins({ uris }: ExtensionFacts): Patch[] {
    return uris.map(({ start, end, uri }) => ({
      start,
      end,
      bytes: Buffer.from(JSON.stringify(qualifyOrigin(this.link.server, uri) ?? uri)),
    }));
  }

  /** Whether any definition is changed for an era. */
  *#differs(era: Era): Generator<undefined, boolean> {
    let count = 0;
    for (const definition of this.definitions) {
      if (eraPatches(definition, era).length > 0) return true;
      if (++count % STEP === 0) yield;
    }
    return false;
  }
}

interface Cached {
  readonly nameLength: number;
  readonly segment: Segment;
}

/** All segments, cached as long as their definitions exist. */
export class Segments {
  readonly #nameLength: () => number;
  readonly #cache = new WeakMap<Link, Record<Form, Map<ListKind, WeakMap<readonly Definition[], Cached>>>>();
  /** The rendered bytes of filtered lists and their sizes, the least recently used first. */
  readonly #filtered = new Map<RenderedBytes, number>();
  #filteredBytes = 0;

  constructor(nameLength: () => number) {
    this.#nameLength = nameLength;
  }

  /** `definitions`: the link's list of this kind, or the part that a filter leaves. */
  of(link: ServerLink, kind: ListKind, definitions: readonly Definition[], form: Form): Segment {
    let forms = this.#cache.get(link);
    if (!forms) this.#cache.set(link, (forms = { own: new Map(), qualified: new Map() }));
    let cached = forms[form].get(kind);
    if (!cached) forms[form].set(kind, (cached = new WeakMap<readonly Definition[], Cached>()));
    const nameLength = this.#nameLength();
    const known = cached.get(definitions);
    if (known?.nameLength === nameLength) return known.segment;
    const used = definitions === link.lists[kind] ? undefined : this.#use;
    const segment = new Segment({ link, kind, definitions, form, nameLength, ...(used && { used }) });
    cached.set(definitions, { nameLength, segment });
    return segment;
  }

  /** The same segment without the names in `taken`, which other servers have already or the list does not show. A URI gets its qualified form instead. */
  without(segment: Segment, taken: ReadonlySet<string>): Segment {
    const { link, kind, definitions } = segment;
    const nameLength = this.#nameLength();
    return new Segment({ link, kind, definitions, form: 'qualified', nameLength, taken, used: this.#use });
  }

  /** Marks the bytes of a filtered list as just used, and drops others beyond the maximum. */
  readonly #use = (bytes: RenderedBytes): void => {
    const { size } = bytes;
    if (size === 0) return;
    this.#filteredBytes += size - (this.#filtered.get(bytes) ?? 0);
    this.#filtered.delete(bytes);
    this.#filtered.set(bytes, size);
    for (const [oldest, oldSize] of this.#filtered) {
      if (this.#filteredBytes <= FILTERED_BYTES || oldest === bytes) break;
      this.#filtered.delete(oldest);
      this.#filteredBytes -= oldSize;
      oldest.clear();
    }
  };
}
