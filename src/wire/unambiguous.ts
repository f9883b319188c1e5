/** What two readers of the same JSON could read differently: a key twice, a number that loses digits, text that is not Unicode. */

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

export interface Reading {
  /** Keys that become equal count as the same. */
  readonly fold: (key: string) => string;
  /** Whether a number, as it is written, is read as what it says. */
  readonly isExact: (token: string) => boolean;
}

/** What is ambiguous about it, after "has" or "have"; undefined: nothing is. `text`: valid JSON. */
export function doubtAbout(text: string, reading: Reading): string | undefined {
  /** The folded keys of the objects that are open; undefined: an array. */
  const open: (Set<string> | undefined)[] = [];
  let isKey = false;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    switch (c) {
      case 0x7b:
        open.push(new Set());
        isKey = true;
        break;
      case 0x5b:
        open.push(undefined);
        isKey = false;
        break;
      case 0x7d:
      case 0x5d:
        open.pop();
        isKey = false;
        break;
      case 0x2c:
        isKey = open.at(-1) !== undefined;
        break;
      case QUOTE: {
        const end = endOfString(text, i);
        const doubt = doubtAboutString(text.slice(i, end), isKey ? open.at(-1) : undefined, reading);
        if (doubt !== undefined) return doubt;
        isKey = false;
        i = end - 1;
        break;
      }
      default: {
        if (c !== 0x2d && (c < 0x30 || c > 0x39)) break;
        let end = i + 1;
        while (/[0-9.eE+-]/.test(text.charAt(end))) end++;
        const token = text.slice(i, end);
        if (!reading.isExact(token)) return `the number ${token.slice(0, 32)}, which loses digits`;
        i = end - 1;
      }
    }
  }
  return undefined;
}

function endOfString(text: string, start: number): number {
  let i = start + 1;
  while (text.charCodeAt(i) !== QUOTE) i += text.charCodeAt(i) === BACKSLASH ? 2 : 1;
  return i + 1;
}

/** `keys`: the folded keys of the object that the string is a key of. */
function doubtAboutString(
  token: string,
  keys: Set<string> | undefined,
  { fold }: Reading,
): string | undefined {
  if (!keys && !token.includes('\\u')) return undefined;
  const value = token.includes('\\') ? (JSON.parse(token) as string) : token.slice(1, -1);
  if (!/^\P{Surrogate}*$/u.test(value)) return 'text that is not Unicode';
  if (!keys) return undefined;
  const key = fold(value);
  if (keys.has(key)) return `the key '${value.slice(0, 64)}' twice`;
  keys.add(key);
  return undefined;
}

/** Whether it is no integer past 2^53, nor more than a double can hold. */
export function isSafeNumber(token: string): boolean {
  const value = Number(token);
  return Number.isFinite(value) && (!Number.isInteger(value) || Number.isSafeInteger(value));
}

/** The same, and a double has exactly the digits that are written. */
export function isExactNumber(token: string): boolean {
  return isSafeNumber(token) && decimal(token) === decimal(String(Number(token)));
}

/** The value of a number of JSON in one spelling, without its sign: its digits, and the power of ten of the last one. */
function decimal(token: string): string {
  const [, whole = '', part = '', power = '0'] = /^-?(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(token) ?? [];
  const digits = (whole + part).replace(/^0+/, '');
  const kept = digits.replace(/0+$/, '');
  return kept === '' ? '0' : `${kept}e${Number(power) - part.length + digits.length - kept.length}`;
}
