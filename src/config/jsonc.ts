/** JSON with comments and trailing commas, as clients write it: what a strict parser would reject, and where. */

const STRING = String.raw`"[^"\\\r\n]*(?:\\.[^"\\\r\n]*)*"?`;
const COMMENTS = new RegExp(String.raw`${STRING}|\/\/[^\r\n]*|\/\*[^]*?(?:\*\/|$)`, 'g');
const TRAILING = new RegExp(String.raw`${STRING}|,(?=\s*[}\]])`, 'g');
const TOKEN =
  /[ \t\r\n]+|"[^"\\\r\n]*(?:\\.[^"\\\r\n]*)*"|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w.])|(?:true|false|null)(?!\w)|[{}[\],:]/y;
const ESCAPE = /\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}|(?<bad>.))/g;

/** A part of the text that is not JSON. */
export interface Flaw {
  readonly offset: number;
  readonly message: string;
  readonly fix?: string;
}

interface Plain {
  readonly text: string;
  readonly commented: boolean;
  /** An unclosed comment, which hides the rest of the text. */
  readonly unclosed?: Flaw;
}

/** The text with comments replaced by spaces, so that all offsets stay valid. */
export function withoutComments(text: string): Plain {
  let commented = false;
  let unclosed: Flaw | undefined;
  const plain = text.replace(COMMENTS, (part, offset: number) => {
    if (part.startsWith('"')) return part;
    // Slashes in an unquoted URL are not a comment: the text is YAML.
    if (/[\s{}[\],"]/.test(text[offset - 1] ?? ' ')) commented = true;
    if (part.startsWith('/*') && !/^\/\*[^]*\*\/$/.test(part))
      unclosed = { offset, message: "a comment without its closing '*/'" };
    return part.replace(/[^\r\n]/g, ' ');
  });
  return { text: plain, commented, ...(unclosed && { unclosed }) };
}

export function isJson(text: string): boolean {
  try {
    JSON.parse(text.replace(TRAILING, (part) => (part === ',' ? ' ' : part)));
    return true;
  } catch {
    return false;
  }
}

/** The first token that is not JSON. Tokens in a wrong order are left to the parser. */
export function strayWord(text: string): Flaw | undefined {
  TOKEN.lastIndex = 0;
  let offset = 0;
  while (TOKEN.test(text)) offset = TOKEN.lastIndex;
  if (offset >= text.length) return undefined;
  const word = /^(?:[\w$./@-]{1,64}|.)/su.exec(text.slice(offset, offset + 80))?.[0] ?? '';
  if (word === '"') return { offset, message: "a text without its closing '\"'" };
  const fix =
    word === '#'
      ? 'comments begin with //'
      : /^[\w'.@/]/.test(word)
        ? 'text and keys need double quotes'
        : undefined;
  return { offset, message: `unexpected ${word}`, ...(fix === undefined ? {} : { fix }) };
}

/** Backslashes that are not JSON escapes, mostly in Windows paths. */
export function badEscapes(text: string): Flaw[] {
  const flaws: Flaw[] = [];
  for (const { 0: string, index } of text.matchAll(COMMENTS)) {
    for (const escape of string.startsWith('"') ? string.matchAll(ESCAPE) : []) {
      if (escape.groups?.['bad'] === undefined) continue;
      flaws.push({
        offset: index + escape.index,
        message: `'${escape[0]}' has no meaning in JSON`,
        fix: WRITE_TWO,
      });
      break;
    }
  }
  return flaws;
}

export const WRITE_TWO = String.raw`write each backslash of a Windows path as \\`;

/** Whether a double-quoted string is a Windows path whose backslashes are escapes: "C:\temp" contains a tab. */
export function isGarbledPath(written: string): boolean {
  return /^"(?:[^"\\]*=)?[A-Za-z]:\\[A-Za-tv-z_0]/.test(written);
}
