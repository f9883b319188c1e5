import type { Transform } from 'node:stream';
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib';

/**
 * A decoder for a body with a content coding, which servers send although only identity is accepted; undefined for identity. It fails once
 * more than `maxBytes` were decoded: a small body can contain gigabytes. Throws if the coding is unknown.
 */
export function decoder(encoding: string | undefined, maxBytes: number): Transform | undefined {
  const stream = open(encoding?.trim().toLowerCase() ?? '');
  if (!stream) return undefined;
  let total = 0;
  const push = stream.push.bind(stream);
  stream.push = (chunk: Buffer | null): boolean => {
    total += chunk?.length ?? 0;
    if (total <= maxBytes) return push(chunk);
    stream.destroy(new Error(`decoded body is larger than ${maxBytes} bytes`));
    return false;
  };
  return stream;
}

function open(encoding: string): Transform | undefined {
  switch (encoding) {
    case '':
    case 'identity':
      return undefined;
    case 'gzip':
    case 'x-gzip':
      return createGunzip();
    case 'deflate':
      return createInflate();
    case 'br':
      return createBrotliDecompress();
    default:
      throw new Error(`content encoding '${encoding.slice(0, 40)}' is not supported`);
  }
}
