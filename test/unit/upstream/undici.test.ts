import { createRequire } from 'node:module';
import { expect, it } from 'vitest';

const require = createRequire(import.meta.url);

it.each(['undici/lib/dispatcher/client.js', 'undici/lib/core/connect.js'])(
  '%s, which the dispatcher loads by path, exists in the installed undici',
  (path) => {
    expect(require(path)).toBeTypeOf('function');
  },
);
