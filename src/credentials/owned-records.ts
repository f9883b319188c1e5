/** The records of what people give for a server, a login or a key: one for each server, its place and its owner. */

type Kind = 'grant' | 'key';

interface Writable {
  get(key: string): Promise<{ readonly generation: number } | undefined>;
  put(key: string, value: object, ifGeneration: number): Promise<boolean>;
}

interface Erasable<K extends Kind> {
  keys(kind: K): AsyncIterable<string>;
  delete(key: string): Promise<void>;
}

/** The key of a record. `place`: another one finds nothing of the one before. `owner`: EVERYBODY, or the id of a principal. */
export function ownedKey(kind: Kind, server: string, place: string, owner: string): string {
  return `${kind}:${JSON.stringify([server, place, owner])}`;
}

/** The place of a server over HTTP. */
export function placeOfUrl(url: string): string {
  const { origin, pathname } = new URL(url);
  return origin + pathname;
}

/** What the key of a record names; empty where it names nothing. */
function ownerOf(key: string): { readonly server: string; readonly owner: string } {
  try {
    const [server, , owner] = JSON.parse(key.slice(key.indexOf(':') + 1)) as string[];
    if (server !== undefined && owner !== undefined) return { server, owner };
  } catch {
    // It names nothing.
  }
  return { server: '', owner: '' };
}

/** Writes a record whatever is there. `what`: what it is called in the error. */
export async function writeOver(records: Writable, key: string, value: object, what: string): Promise<void> {
  for (let tries = 0; tries < 16; tries++) {
    const there = await records.get(key);
    if (await records.put(key, value, there?.generation ?? 0)) return;
  }
  throw new Error(`the record of a ${what} changes all the time`);
}

/** Erases the records that are not kept. Returns the names of their servers. */
export async function eraseOwned<K extends Kind>(
  records: Erasable<NoInfer<K>>,
  kind: K,
  isKept: (key: string, server: string, owner: string) => boolean,
): Promise<string[]> {
  const gone: string[] = [];
  for await (const key of records.keys(kind)) {
    const { server, owner } = ownerOf(key);
    if (isKept(key, server, owner)) continue;
    gone.push(server);
    await records.delete(key);
  }
  return gone;
}
