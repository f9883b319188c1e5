/** The text of a configuration file without its secrets, and back: what somebody edits never shows a secret, and keeps those it had. */
import { isAlias, isMap, isPair, isScalar, isSeq, parseDocument, type Node, type Scalar } from 'yaml';
import { withoutComments } from './jsonc.js';
import { isCalledSecret, maskSecrets, redactUrl } from './redact.js';

const MASK = '***';
/** Members whose values are masked, whatever they are called. */
const MASKED_MAPS: ReadonlySet<string> = new Set(['env', 'headers']);
/** Names of members that say where a secret is, and are none. */
const POINTS_TO_SECRET = /_(env|file|command)$/;

/** Values of members that are called like secrets: `auth: none`, `pin: warn`. */
const NO_SECRETS: ReadonlySet<string> = new Set(['none', 'bearer', 'off', 'warn', 'enforce']);

interface Place {
  /** Its path, where entries of lists go by their names if they have one. */
  readonly path: string;
  readonly start: number;
  readonly end: number;
  readonly value: string;
  /** The names of the members that lead to it. */
  readonly keys: readonly string[];
}

/**
 * `secrets`: values that must not be shown, wherever they are in the text. undefined: the text cannot be read, so that its secrets are not
 * known.
 */
export function maskText(text: string, file: string, secrets: readonly string[]): string | undefined {
  const scalars = maskScalars(text, file, secrets);
  // What is left is in comments.
  return scalars && maskSecrets(scalars.masked, secrets);
}

/**
 * The text with what `edited` left masked as it is in `original`. `unknown`: how many masked values have no original: the caller has to refuse
 * them. undefined: one of the texts cannot be read.
 */
export function unmaskText(
  edited: string,
  original: string,
  file: string,
  secrets: readonly string[],
): { readonly text: string; readonly unknown: number } | undefined {
  const before = maskScalars(original, file, secrets);
  const places = scalarsOf(edited, file);
  if (!before || !places) return undefined;
  const values = new Map(before.all.map(({ path, value }) => [path, value]));
  const known = new Map<string, { readonly shown: string; readonly source: string }>();
  for (const { place, shown } of before.changed)
    known.set(place.path, { shown, source: original.slice(place.start, place.end).replace(/\n$/, '') });
  let text = edited;
  let unknown = 0;
  for (const place of places.reverse()) {
    if (!place.value.includes(MASK) || values.get(place.path) === place.value) continue;
    const was = known.get(place.path);
    if (was?.shown === place.value) text = text.slice(0, place.start) + was.source + text.slice(place.end);
    else unknown++;
  }
  return { text: unmaskLines(text, before.masked, secrets), unknown };
}

interface Change {
  readonly place: Place;
  readonly shown: string;
}

function maskScalars(
  text: string,
  file: string,
  secrets: readonly string[],
):
  | { readonly masked: string; readonly changed: readonly Change[]; readonly all: readonly Place[] }
  | undefined {
  const all = scalarsOf(text, file);
  if (!all) return undefined;
  const changed: Change[] = [];
  let masked = text;
  for (const place of [...all].reverse()) {
    const shown = shownValue(place, secrets);
    if (shown === place.value) continue;
    changed.push({ place, shown });
    // A block scalar ends with a line break.
    const tail = text.slice(place.start, place.end).endsWith('\n') ? '\n' : '';
    masked = masked.slice(0, place.start) + JSON.stringify(shown) + tail + masked.slice(place.end);
  }
  return { masked, changed, all };
}

/** What is shown of a value. */
function shownValue({ value, keys }: Place, secrets: readonly string[]): string {
  // References are no secrets.
  if (/^\$\{[^}]*\}$/.test(value) || value === '') return value;
  const name = keys.at(-1) ?? '';
  if (keys.slice(0, -1).some((key) => MASKED_MAPS.has(key))) return MASK;
  if (
    isCalledSecret(name) &&
    !POINTS_TO_SECRET.test(name) &&
    !NO_SECRETS.has(value) &&
    !keys.includes('keys')
  )
    return MASK;
  const masked = maskSecrets(value, secrets);
  return /^[a-z][a-z0-9+.-]*:\/\//i.test(masked) ? redactUrl(masked) : masked;
}

/** The scalars of a file with their places; undefined: it cannot be read. */
function scalarsOf(text: string, file: string): Place[] | undefined {
  const isJson = /\.jsonc?$/i.test(file) || /^\s*\{/.test(text);
  // Offsets stay: comments become spaces.
  const plain = isJson ? withoutComments(text).text : text;
  const found: Place[] = [];
  const visit = (node: Node | null | undefined, path: string, keys: readonly string[]): void => {
    if (!node || isAlias(node)) return;
    if (isScalar(node)) return add(node, path, keys);
    if (isMap(node))
      for (const pair of node.items) {
        if (!isPair(pair) || !isScalar(pair.key)) continue;
        const key = String(pair.key.value);
        visit(pair.value as Node | null, `${path}/${key}`, [...keys, key]);
      }
    else if (isSeq(node))
      for (const [index, item] of node.items.entries()) {
        const name = isMap(item) ? item.get('name') : undefined;
        visit(item as Node, `${path}/${typeof name === 'string' ? `name ${name}` : index}`, keys);
      }
  };
  const add = ({ value, range }: Scalar, path: string, keys: readonly string[]): void => {
    if (!range || (typeof value !== 'string' && typeof value !== 'number')) return;
    found.push({ path, start: range[0], end: range[1], value: String(value), keys });
  };
  try {
    const document = parseDocument(plain, { logLevel: 'silent' });
    if (document.errors.length > 0) return undefined;
    visit(document.contents, '', []);
  } catch {
    return undefined;
  }
  return found.sort((a, b) => a.start - b.start);
}

/** Lines that were masked outside of values, such as comments, as they were. `before`: the file with masked values. */
function unmaskLines(text: string, before: string, secrets: readonly string[]): string {
  const known = new Map<string, string>();
  for (const line of before.split('\n')) {
    const masked = maskSecrets(line, secrets);
    if (masked !== line) known.set(masked, line);
  }
  if (known.size === 0) return text;
  return text
    .split('\n')
    .map((line) => known.get(line) ?? line)
    .join('\n');
}
