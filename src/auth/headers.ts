import type { Shown } from '../protocol/ports.js';

/** Whether a request has a header more than once. Node joins them or keeps the first, so that the raw headers are counted. `name`: in lower case. */
export function isRepeated({ rawHeaders = [] }: Shown, name: string): boolean {
  let times = 0;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const each = rawHeaders[i] as string;
    if (each.length === name.length && each.toLowerCase() === name) times++;
  }
  return times > 1;
}
