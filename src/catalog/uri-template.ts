/** Whether a URI could have been made from a URI template (RFC 6570). */

const EXPRESSION = /\{([+#./;?&]?)[^{}]*\}/g;
/** What one expression may expand to. Reserved expansion and paths may hold anything, others no slash. */
const EXPANSIONS: Readonly<Record<string, string>> = {
  '': '[^/?#]+',
  '+': '.+',
  '#': '(?:#.*)?',
  '.': '(?:\\.[^/?#]*)?',
  '/': '(?:/[^?#]*)?',
  ';': '(?:;[^/?#]*)?',
  '?': '(?:\\?[^#]*)?',
  '&': '(?:&[^#]*)?',
};
/** More expressions than any real template has; each costs time at every match. */
const MAX_EXPRESSIONS = 16;
const MAX_LENGTH = 2048;

/** undefined: too large to be matched. */
export function matcherOf(template: string): ((uri: string) => boolean) | undefined {
  if (template.length > MAX_LENGTH) return undefined;
  let pattern = '';
  let at = 0;
  let expressions = 0;
  for (const match of template.matchAll(EXPRESSION)) {
    if (++expressions > MAX_EXPRESSIONS) return undefined;
    pattern += escape(template.slice(at, match.index)) + (EXPANSIONS[match[1] ?? ''] ?? '');
    at = match.index + match[0].length;
  }
  pattern += escape(template.slice(at));
  const regex = new RegExp(`^${pattern}$`, 's');
  return (uri) => uri.length <= MAX_LENGTH && regex.test(uri);
}

function escape(literal: string): string {
  return literal.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}
