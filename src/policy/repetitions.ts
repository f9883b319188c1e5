/** A pattern's counted repetitions (`a{20}`, `(a{3}){5}`), whose nesting multiplies the size of what it compiles to. */

/** The largest product of nested counts; 1: there are none. Reads any text, valid pattern or not. */
export function repetitionsOf(pattern: string): number {
  /** The largest product so far in each open group. */
  const groups = [1];
  /** Of the last item, to which a count applies. */
  let last = 1;
  let isClass = false;
  for (let i = 0; i < pattern.length; i++) {
    const c = pattern[i];
    if (c === '\\') {
      i++;
      last = 1;
    } else if (isClass) {
      if (c === ']') isClass = false;
    } else if (c === '[') {
      isClass = true;
      last = 1;
      // A bracket that comes first is an ordinary character.
      if (pattern[i + 1] === '^') i++;
      if (pattern[i + 1] === ']') i++;
    } else if (c === '(') {
      groups.push(1);
      last = 1;
    } else if (c === ')') {
      last = groups.length > 1 ? (groups.pop() ?? 1) : 1;
      raise(groups, last);
    } else if (c === '{') {
      const count = /^\{(\d{1,6})(?:,(\d{0,6}))?\}/.exec(pattern.slice(i, i + 20));
      if (!count) {
        last = 1;
        continue;
      }
      last *= Math.max(1, Number(count[1]), Number(count[2] ?? 0));
      raise(groups, last);
      i += count[0].length - 1;
    } else if (c !== '*' && c !== '+' && c !== '?') last = 1;
  }
  return Math.max(...groups);
}

function raise(groups: number[], to: number): void {
  const at = groups.length - 1;
  groups[at] = Math.max(groups[at] ?? 1, to);
}
