/**
 * The part of a list that comes from one server: names and rendered bytes. A list of many servers is a sequence of segments, shared by all
 * views. There is one segment per array of definitions, so a change re-renders only the servers that changed.
 */
import { createHash } from 'node:crypto';
import type { Definition, ListKind } from '../protocol/lists.js';
import type { Link, ServerLink, Target } from '../protocol/ports.js';
import type { Era } from '../protocol/revisions.js';
import { splice, type Patch } from '../wire/splice.js';
import { eraPatches } from './era-patches.js';
import { qualify, qualifyUri } from './naming.js';
import { renaming, type Rendered } from './render.js';

/** `own`: the server's names, on its own route. `qualified`: the names of the merged endpoint. */
export type Form = 'own' | 'qualified';

/** Definitions are rendered into buffers of about this size. */
const PART_BYTES = 65_536;
/** Definitions between two yields. */
const STEP = 16;
/** Rendered bytes of filtered lists that are cached; the least recently used are dropped, and rendered again when needed. */
const FILTERED_BYTES = 67_108_864;

const COMMA = Buffer.from(',');

interface SegmentOptions {
  readonly link: ServerLink;
  readonly kind: ListKind;
  readonly definitions: readonly Definition[];
  readonly form: Form;
  /** limits.name_length */
  readonly nameLength: number;
  /** Names that other servers have already: see Segments.without. */
  readonly taken?: ReadonlySet<string>;
  /** Called when rendered bytes are used; undefined: they are kept. */
  readonly used?: (segment: Segment) => void;
}

export class Segment {
  readonly link: ServerLink;
  readonly kind: ListKind;
  /** Definitions by the name they have in the list, in list order. */
  readonly names: ReadonlyMap<string, Definition>;
  /** Whether another server could have the same names. */
  readonly contested: boolean;
  readonly definitions: readonly Definition[];
  readonly #used: ((segment: Segment) => void) | undefined;
  readonly #targets = new Map<string, Target>();
  /** Set if clients of both eras read the same bytes. */
  #plain: Rendered | undefined;
  readonly #rendered: Record<Era, Rendered | undefined> = { legacy: undefined, modern: undefined };
  readonly #rendering: Record<Era, Generator<undefined, Rendered> | undefined> = {
    legacy: undefined,
    modern: undefined,
  };

  constructor({ link, kind, definitions, form, nameLength, taken, used }: SegmentOptions) {
    this.link = link;
    this.kind = kind;
    this.definitions = definitions;
    this.#used = used;
    const { server } = link;
    const isUri = kind === 'resources' || kind === 'templates';
    const names = new Map<string, Definition>();
    let contested = form === 'qualified' && isUri && definitions.length > 0;
    for (const definition of definitions) {
      const { key } = definition;
      let name = isUri || form === 'own' ? key : qualify(server, key, nameLength);
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

  /** The target of a listed name. */
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

  /** Size of the cached bytes. */
  get bytes(): number {
    const { legacy, modern } = this.#rendered;
    return (legacy?.bytes ?? 0) + (modern === legacy ? 0 : (modern?.bytes ?? 0));
  }

  isRendered(era: Era): boolean {
    return this.#rendered[era] !== undefined;
  }

  /** Rendered bytes may be freed: they belong to a filtered list. */
  get isFiltered(): boolean {
    return this.#used !== undefined;
  }

  /** Renders what is not rendered yet, all at once. */
  render(era: Era): Rendered {
    let rendered = this.#rendered[era];
    while (!rendered) rendered = this.step(era);
    this.#used?.(this);
    return rendered;
  }

  /** Renders a little; undefined: more is to be done. */
  step(era: Era): Rendered | undefined {
    const rendering = (this.#rendering[era] ??= this.#render(era));
    const { done, value } = rendering.next();
    if (!done) return undefined;
    this.#rendering[era] = undefined;
    this.#rendered[era] = value;
    this.#used?.(this);
    return value;
  }

  /** Frees the rendered bytes. */
  clear(): void {
    this.#plain = this.#rendered.legacy = this.#rendered.modern = undefined;
  }

  *#render(era: Era): Generator<undefined, Rendered> {
    if (this.#plain && !(yield* this.#differs(era))) return this.#plain;
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
      const shown = this.#shown(name, definition, forEra);
      pending.push(shown);
      pendingBytes += shown.length;
      if (pendingBytes < PART_BYTES) continue;
      flush();
      yield;
    }
    if (pendingBytes > 0) flush();
    const rendered = { parts, bytes, digest: hash.digest('base64url') };
    if (!changed) this.#plain = rendered;
    return rendered;
  }

  #shown(name: string, definition: Definition, forEra: Patch[]): Buffer {
    const { key, bytes } = definition;
    // The name comes first: patches for the era may start right behind it.
    const patches =
      name === key ? forEra : [...renaming(this.kind, definition, this.link.server, name), ...forEra];
    return patches.length === 0 ? bytes : splice(bytes, patches);
  }

  /** Whether an era reads any definition differently from how its server wrote it. */
  *#differs(era: Era): Generator<undefined, boolean> {
    let count = 0;
    for (const definition of this.definitions) {
      if (eraPatches(definition, era).length > 0) return true;
      if (++count % STEP === 0) yield;
    }
    return false;
  }
}

interface Made {
  readonly nameLength: number;
  readonly segment: Segment;
}

/** All segments. They live as long as the definitions they are made of. */
export class Segments {
  readonly #nameLength: () => number;
  readonly #made = new WeakMap<Link, Record<Form, Map<ListKind, WeakMap<readonly Definition[], Made>>>>();
  /** Segments of filtered lists that hold rendered bytes, the least recently used first. */
  readonly #filtered = new Map<Segment, number>();
  #filteredBytes = 0;

  constructor(nameLength: () => number) {
    this.#nameLength = nameLength;
  }

  /** `definitions`: the link's list of this kind, or what a filter leaves of it. */
  of(link: ServerLink, kind: ListKind, definitions: readonly Definition[], form: Form): Segment {
    let forms = this.#made.get(link);
    if (!forms) this.#made.set(link, (forms = { own: new Map(), qualified: new Map() }));
    let made = forms[form].get(kind);
    if (!made) forms[form].set(kind, (made = new WeakMap<readonly Definition[], Made>()));
    const nameLength = this.#nameLength();
    const known = made.get(definitions);
    if (known?.nameLength === nameLength) return known.segment;
    const used = definitions === link.lists[kind] ? undefined : this.#use;
    const segment = new Segment({ link, kind, definitions, form, nameLength, ...(used && { used }) });
    made.set(definitions, { nameLength, segment });
    return segment;
  }

  /** The same segment beside servers that have some of its names already. */
  without(segment: Segment, taken: ReadonlySet<string>): Segment {
    const { link, kind, definitions } = segment;
    const nameLength = this.#nameLength();
    return new Segment({ link, kind, definitions, form: 'qualified', nameLength, taken, used: this.#use });
  }

  readonly #use = (segment: Segment): void => {
    const { bytes } = segment;
    if (bytes === 0) return;
    this.#filteredBytes += bytes - (this.#filtered.get(segment) ?? 0);
    this.#filtered.delete(segment);
    this.#filtered.set(segment, bytes);
    for (const [oldest, size] of this.#filtered) {
      if (this.#filteredBytes <= FILTERED_BYTES || oldest === segment) break;
      this.#filtered.delete(oldest);
      this.#filteredBytes -= size;
      oldest.clear();
    }
  };
}
