/** Names that most messages are made of: recognised by their bytes, so that no text is made of each anew. */

const NAMES = [
  'id',
  'uri',
  '"2.0"',
  'name',
  'ping',
  '_meta',
  'error',
  'method',
  'params',
  'result',
  'jsonrpc',
  'arguments',
  'tools/call',
  'tools/list',
  'progressToken',
  'resources/read',
];

const byLength: (readonly string[])[] = [];
for (const name of NAMES) byLength[name.length] = [...(byLength[name.length] ?? []), name];

/** The text of the bytes from `start` to `end` if it is one of those names. */
export function nameAt(buf: Buffer, start: number, end: number): string | undefined {
  const length = end - start;
  const names = length < byLength.length ? byLength[length] : undefined;
  if (names === undefined) return undefined;
  for (const name of names) {
    let i = 0;
    while (i < length && buf[start + i] === name.charCodeAt(i)) i++;
    if (i === length) return name;
  }
  return undefined;
}
