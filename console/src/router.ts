/** The address holds the state: `#/screen/part?name=value`. */
import { computed, signal } from '@preact/signals';

export interface Place {
  readonly path: readonly string[];
  readonly query: URLSearchParams;
}

function parse(hash: string): Place {
  const [path = '', query = ''] = hash.replace(/^#\/?/, '').split(/\?(.*)/s);
  return {
    path: path.split('/').filter(Boolean).map(decoded),
    query: new URLSearchParams(query),
  };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

const current = signal(parse(location.hash));
export const place = computed(() => current.value);

addEventListener('hashchange', () => {
  current.value = parse(location.hash);
});

/** The address of a screen, for `href`. Members that are undefined or empty are left out. */
export function to(
  path: readonly string[],
  query: Readonly<Record<string, string | undefined>> = {},
): string {
  const given = Object.entries(query).filter((entry): entry is [string, string] => !!entry[1]);
  const text = new URLSearchParams(given).toString();
  return `#/${path.map(encodeURIComponent).join('/')}${text === '' ? '' : `?${text}`}`;
}

export function go(hash: string): void {
  location.hash = hash;
}

/** Goes to another address in place of this one, which leaves the history. */
export function replace(hash: string): void {
  history.replaceState(null, '', location.pathname + location.search + hash);
  current.value = parse(hash);
}

/** Changes members of the query, without an entry in the history. */
export function setQuery(changes: Readonly<Record<string, string | undefined>>): void {
  const { path, query } = current.value;
  replace(to(path, { ...Object.fromEntries(query), ...changes }));
}
