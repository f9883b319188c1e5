/** `mcp.auth.login.redirects`: whatever is written, what is accepted has one of four forms, and is no scheme that runs code or reads files. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { ConfigError, resolveConfig } from '../../src/config/index.js';

const FORBIDDEN = /^(javascript|vbscript|data|file|filesystem|blob|about|view-source|wss?|https?):/;

it('an entry of redirects is accepted in one of four forms, or is an error that names it', () => {
  const entry = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 30 }),
    fc.stringMatching(/^[A-Za-z0-9.*?:[\]/@#+-]{0,20}$/),
    fc
      .tuple(
        fc.mixedCase(
          fc.constantFrom('javascript', 'data', 'file', 'blob', 'about', 'view-source', 'ws', 'http'),
        ),
        fc.constantFrom(':', '', '://', ' :', ':\t', '*:', ':*'),
      )
      .map((parts) => parts.join('')),
  );
  fc.assert(
    fc.property(entry, (written) => {
      try {
        const { auth } = resolveConfig(
          {
            servers: [],
            http: { public_url: 'https://gw.example' },
            state: { dir: '/tmp/s' },
            mcp: {
              auth: { login: { issuer: 'https://id.example', client_id: 'gw', redirects: ['*', written] } },
            },
          },
          {},
        ).config.mcp;
        const accepted = auth.login?.redirects[1] ?? '';
        expect(accepted).toMatch(
          /^(\*|loopback|[a-z][a-z0-9+.-]*:|[a-z0-9_*?][a-z0-9._*?-]*|\[[0-9a-f:.]+\])$/,
        );
        expect(accepted).not.toMatch(FORBIDDEN);
        // A glob of hosts never fits a scheme.
        if (!accepted.endsWith(':') && !accepted.startsWith('[')) expect(accepted).not.toContain(':');
      } catch (error) {
        if (!(error instanceof ConfigError)) throw error;
        expect(error.message).toContain('mcp.auth.login: redirects[1]: ');
      }
    }),
    { numRuns: 1000 },
  );
});
