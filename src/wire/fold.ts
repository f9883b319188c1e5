/**
 * Names that some reader takes for one another: Go's encoding/json matches members under Unicode case folding, where the Kelvin sign
 * is a k and the long s an s; Java's equalsIgnoreCase takes both Turkish i for an i; readers in C end a name at its first NUL.
 */

/** No longer text folds to a name that anybody looks for. */
const MAX_NAME = 128;

/** Equal for names that differ in case alone, by the widest rules there are. */
export function foldName(name: string): string {
  // İ in lower case is an i with a dot above.
  const nul = name.indexOf('\0');
  return (nul === -1 ? name : name.slice(0, nul)).toUpperCase().toLowerCase().replaceAll('i\u0307', 'i');
}

/** Names that the gateway reads, replaces or decides by. Each may be there once, and spelt as it is. */
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

  /** What makes two readers of these members take different ones; undefined: nothing. */
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
