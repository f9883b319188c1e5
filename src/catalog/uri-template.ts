/** Whether a URI could have been made from a URI template (RFC 6570). */

const EXPRESSION = /\{([+#./;?&]?)[^{}]*\}/g;
/** More expressions than any real template has. */
const MAX_EXPRESSIONS = 16;
const MAX_LENGTH = 2048;

/** What one expression may expand to. Reserved expansion and paths may hold anything, others no slash. */
interface Expansion {
  /** Its first character where there is one: then it may also be empty. */
  readonly opens: string | undefined;
  /** Characters that it never holds. */
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

/** undefined: too large to be matched. */
export function matcherOf(template: string): ((uri: string) => boolean) | undefined {
  if (template.length > MAX_LENGTH) return undefined;
  const parts: Part[] = [];
  let at = 0;
  for (const match of template.matchAll(EXPRESSION)) {
    parts.push(template.slice(at, match.index), EXPANSIONS[match[1] ?? ''] as Expansion);
    at = match.index + match[0].length;
  }
  if (parts.length > 2 * MAX_EXPRESSIONS) return undefined;
  parts.push(template.slice(at));
  const [head] = parts as [string];
  return (uri) => uri.length <= MAX_LENGTH && uri.startsWith(head) && matches(parts, uri);
}

/**
 * Part by part, all places at once where it may end. Not a regular expression: templates come from servers and URIs from clients,
 * and together they would find the one that takes for ever.
 */
function matches(parts: readonly Part[], uri: string): boolean {
  let ends = new Uint8Array(uri.length + 1);
  ends[0] = 1;
  for (const part of parts) {
    const next = new Uint8Array(uri.length + 1);
    if (typeof part === 'string') {
      for (let i = 0; i + part.length <= uri.length; i++)
        if (ends[i] === 1 && uri.startsWith(part, i)) next[i + part.length] = 1;
    } else {
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
