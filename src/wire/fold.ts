/**
 * Names that some JSON readers confuse: Go's encoding/json matches members under Unicode case folding, where the Kelvin sign
 * is a k and the long s an s; Java's equalsIgnoreCase takes both Turkish i for an i; readers in C end a name at its first NUL.
 */

/** Longer names are not compared. */
const MAX_NAME = 128;

/** Characters that differ in case alone, if at all. */
const PLAIN = /^[\x20-\x7e]*$/;

/** Folds case by the union of these rules, so that names that any reader confuses become equal. */
export function foldName(name: string): string {
  if (PLAIN.test(name)) return name.toLowerCase();
  // The lower case of İ is an i with a combining dot.
  const nul = name.indexOf('\0');
  return (nul === -1 ? name : name.slice(0, nul)).toUpperCase().toLowerCase().replaceAll('i\u0307', 'i');
}

/** The same, where some reader also takes wide and composed forms of a character for the plain one. */
export function foldWide(name: string): string {
  if (PLAIN.test(name)) return name.toLowerCase();
  return foldName(name.normalize('NFKC')).normalize('NFKC');
}

/** Member names that the gateway reads or replaces. Each may appear once, spelt exactly. */
export class KnownNames {
  readonly #names: readonly string[];
  readonly #folded: ReadonlyMap<string, string>;

  constructor(...names: string[]) {
    this.#names = names;
    this.#folded = new Map(names.map((name) => [foldName(name), name]));
  }

  has(key: string): boolean {
    return this.#names.includes(key);
  }

  /** Why two JSON readers could read these members differently; undefined: they cannot. */
  doubt(members: readonly { readonly key: string }[]): string | undefined {
    for (let i = 0; i < members.length; i++) {
      const { key } = members[i] as { key: string };
      if (this.#names.includes(key)) {
        for (let k = i + 1; k < members.length; k++) if (members[k]?.key === key) return `'${key}' twice`;
      } else if (key.length <= MAX_NAME) {
        const name = this.#folded.get(foldName(key));
        if (name !== undefined) return `'${key}', which differs from '${name}' in case alone`;
      }
    }
    return undefined;
  }
}
