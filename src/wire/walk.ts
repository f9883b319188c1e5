/** The members and elements of validated JSON, as byte offsets. */
import { endOfValue } from './edges.js';
import { skipSpace, type Member, type Span } from './scan.js';

const COMMA = 0x2c;

/** The members of the object at `at`, in order, duplicates included. */
export function membersOf(buf: Buffer, at = 0): Member[] {
  const members: Member[] = [];
  let i = skipSpace(buf, skipSpace(buf, at) + 1);
  while (buf[i] === 0x22) {
    const keyEnd = endOfValue(buf, i);
    const key = JSON.parse(buf.toString('utf8', i, keyEnd)) as string;
    const start = skipSpace(buf, skipSpace(buf, keyEnd) + 1);
    const end = endOfValue(buf, start);
    members.push({ key, start, end });
    i = skipSpace(buf, end);
    if (buf[i] !== COMMA) break;
    i = skipSpace(buf, i + 1);
  }
  return members;
}

/** The elements of the array at `at`, in order. */
export function elementsOf(buf: Buffer, at: number): Span[] {
  const elements: Span[] = [];
  let i = skipSpace(buf, at + 1);
  while (i < buf.length && buf[i] !== 0x5d) {
    const end = endOfValue(buf, i);
    elements.push({ start: i, end });
    i = skipSpace(buf, end);
    if (buf[i] !== COMMA) break;
    i = skipSpace(buf, i + 1);
  }
  return elements;
}
