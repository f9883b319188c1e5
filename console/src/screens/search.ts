/** Search in names and texts. The index is built once for a list. */

export interface Indexed<T> {
  readonly row: T;
  readonly name: string;
  readonly all: string;
}

export function indexOf<T>(
  rows: readonly T[],
  name: (row: T) => string,
  texts: (row: T) => readonly (string | null)[],
): Indexed<T>[] {
  return rows.map((row) => {
    const lower = name(row).toLowerCase();
    return {
      row,
      name: lower,
      all: `${lower}\n${texts(row)
        .filter((text) => text !== null)
        .join('\n')
        .toLowerCase()}`,
    };
  });
}

/** Rows with all words of the query: those with them in their name first, otherwise in their order. */
export function search<T>(index: readonly Indexed<T>[], query: string): T[] {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return index.map(({ row }) => row);
  const named: T[] = [];
  const others: T[] = [];
  for (const { row, name, all } of index) {
    if (!words.every((word) => all.includes(word))) continue;
    (words.every((word) => name.includes(word)) ? named : others).push(row);
  }
  return [...named, ...others];
}
