/** Finds the most specific URI template (RFC 6570) that a URI matches. */

const EXPRESSION = /\{([+#./;?&]?)[^{}]*\}/g;
/** Expressions per template, at the most. */
const MAX_EXPRESSIONS = 16;
const MAX_LENGTH = 2048;
/** Templates per server that are matched, at the most. */
export const MAX_TEMPLATES = 1000;
/** Character comparisons per server and URI, at the most. */
export const MAX_LOOKS = 500_000;

/** What an expression can expand to. Only reserved expansion and paths can contain a slash. */
interface Expansion {
  /** The first character, if the operator has one; then the expansion may be empty. */
  readonly opens: string | undefined;
  /** Characters that it never contains. */
  readonly without: string;
}

const EXPANSIONS: Readonly<Record<string, Expansion>> = {
  '': { opens: undefined, without: '/?#' },
  '+': { opens: undefined, without: '' },
  '#': { opens: '#', without: '' },
  '.': { opens: '.', without: '/?#' },
  '/': { opens: '/', without: '?#' },
  ';': { opens: ';', without: '/?#' },
  '?': { opens: '?', without: '#' },
  '&': { opens: '&', without: '#' },
};

type Part = string | Expansion;

/** A parsed template. */
interface Pattern {
  /** The literal text before the first expression. */
  readonly head: string;
  readonly tail: string;
  /** Number of literal characters. */
  readonly literals: number;
  readonly parts: readonly Part[];
}

/** undefined: too large to be matched. */
function parse(template: string): Pattern | undefined {
  if (template.length > MAX_LENGTH) return undefined;
  const parts: Part[] = [];
  let at = 0;
  let literals = 0;
  for (const match of template.matchAll(EXPRESSION)) {
    if (parts.length >= 2 * MAX_EXPRESSIONS) return undefined;
    parts.push(template.slice(at, match.index), EXPANSIONS[match[1] ?? ''] as Expansion);
    literals += match.index - at;
    at = match.index + match[0].length;
  }
  const tail = template.slice(at);
  parts.push(tail);
  return { head: parts[0] as string, tail, literals: literals + tail.length, parts };
}

interface Entry<T> extends Pattern {
  readonly template: string;
  readonly server: string;
  readonly value: T;
}

/** Templates with the same head. */
interface Branch<T> {
  readonly head: string;
  /** Most literal characters first. */
  readonly entries: Entry<T>[];
  /** The branch with the longest head that is a prefix of this one. */
  readonly shorter: Branch<T> | undefined;
}

export interface Covering<T> {
  readonly template: string;
  readonly server: string;
  readonly value: T;
}

/**
 * The templates of many servers. The most specific match wins: the longest head, then the most literal characters.
 */
export class UriTemplates<T> {
  readonly #entries: Entry<T>[] = [];
  readonly #ofServer = new Map<string, number>();
  /** Sorted by head. Built at the first search. */
  #branches: Branch<T>[] | undefined;

  add(template: string, server: string, value: T): void {
    const before = this.#ofServer.get(server) ?? 0;
    const pattern = before < MAX_TEMPLATES ? parse(template) : undefined;
    if (!pattern) return;
    this.#ofServer.set(server, before + 1);
    this.#entries.push({ ...pattern, template, server, value });
    this.#branches = undefined;
  }

  /**
   * The most specific templates that match `uri`: more than one only if templates of several servers are equally specific. `looked` gets
   * the number of character comparisons.
   */
  find(uri: string, looked?: (looks: number) => void): readonly Covering<T>[] {
    if (uri.length > MAX_LENGTH || this.#entries.length === 0) return NONE;
    const found: Entry<T>[] = [];
    const looks = new Map<string, number>();
    for (let branch = this.#longest(uri); branch && found.length === 0; branch = branch.shorter)
      for (const entry of branch.entries) {
        if (found.length > 0 && entry.literals < (found[0] as Entry<T>).literals) break;
        const spent = looks.get(entry.server) ?? 0;
        // Any template of the same server leads to the same server.
        if (spent > MAX_LOOKS || found.some(({ server }) => server === entry.server)) continue;
        if (!uri.endsWith(entry.tail)) {
          looks.set(entry.server, spent + entry.tail.length);
          continue;
        }
        looks.set(entry.server, spent + entry.parts.length * (uri.length + 1));
        if (matches(entry.parts, uri)) found.push(entry);
      }
    looked?.([...looks.values()].reduce((sum, each) => sum + each, 0));
    return found;
  }

  /** The branch with the longest head that is a prefix of `uri`. */
  #longest(uri: string): Branch<T> | undefined {
    const branches = (this.#branches ??= this.#build());
    let low = 0;
    let high = branches.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((branches[middle] as Branch<T>).head <= uri) low = middle + 1;
      else high = middle;
    }
    // The preceding head in sort order, or one of its prefixes, is a prefix of the URI.
    let branch = branches[low - 1];
    const head = branch?.head ?? '';
    let common = 0;
    while (common < head.length && head[common] === uri[common]) common++;
    while (branch && branch.head.length > common) branch = branch.shorter;
    return branch;
  }

  #build(): Branch<T>[] {
    const byHead = new Map<string, Entry<T>[]>();
    for (const entry of this.#entries) {
      const same = byHead.get(entry.head);
      if (same) same.push(entry);
      else byHead.set(entry.head, [entry]);
    }
    const branches: Branch<T>[] = [];
    const open: Branch<T>[] = [];
    for (const head of [...byHead.keys()].sort()) {
      while (open.length > 0 && !head.startsWith((open.at(-1) as Branch<T>).head)) open.pop();
      const entries = (byHead.get(head) as Entry<T>[]).sort((a, b) => b.literals - a.literals);
      const branch: Branch<T> = { head, entries, shorter: open.at(-1) };
      branches.push(branch);
      open.push(branch);
    }
    return branches;
  }
}

const NONE: readonly never[] = [];

/**
 * Matches part by part and tracks all possible ends at once. A regular expression could backtrack catastrophically, because servers choose
 * the templates and clients choose the URIs.
 */
function matches(parts: readonly Part[], uri: string): boolean {
  let ends = new Uint8Array(uri.length + 1);
  ends[0] = 1;
  for (const part of parts) {
    const next = new Uint8Array(uri.length + 1);
    if (typeof part === 'string') literal(part, uri, ends, next);
    else {
      const { opens, without } = part;
      let inside = false;
      for (let i = 0; i <= uri.length; i++) {
        if (i > 0) {
          const char = uri[i - 1] as string;
          const begins = ends[i - 1] === 1 && (opens === undefined || opens === char);
          inside =
            (inside && !without.includes(char)) || (begins && (opens === char || !without.includes(char)));
        }
        if (inside || (opens !== undefined && ends[i] === 1)) next[i] = 1;
      }
    }
    ends = next;
  }
  return ends[uri.length] === 1;
}

/** Finds the ends of a literal in a URI by the Knuth-Morris-Pratt algorithm, which is linear even for near matches. */
function literal(text: string, uri: string, ends: Uint8Array, next: Uint8Array): void {
  if (text === '') {
    next.set(ends);
    return;
  }
  const back = new Uint16Array(text.length);
  for (let i = 1, k = 0; i < text.length; i++) {
    while (k > 0 && text[i] !== text[k]) k = back[k - 1] as number;
    if (text[i] === text[k]) k++;
    back[i] = k;
  }
  for (let i = 0, k = 0; i < uri.length; i++) {
    while (k > 0 && uri[i] !== text[k]) k = back[k - 1] as number;
    if (uri[i] === text[k]) k++;
    if (k < text.length) continue;
    if (ends[i + 1 - text.length] === 1) next[i + 1] = 1;
    k = back[k - 1] as number;
  }
}
