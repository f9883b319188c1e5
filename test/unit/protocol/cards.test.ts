import { describe, expect, it } from 'vitest';
import { aiCatalog, registryEntry, serverCard, type PublishedEndpoint } from '../../../src/protocol/cards.js';

const DOCS: PublishedEndpoint = {
  publisher: 'com.example',
  name: 'docs',
  version: '1.2.3',
  description: 'Finds pages.',
  url: 'https://gw.example/servers/docs/mcp',
  key: 'required',
};
const described = (description: string | undefined): unknown =>
  (serverCard({ ...DOCS, description }) as { description: unknown }).description;

describe('a server card', () => {
  it('says who an endpoint is and how to connect', () => {
    expect(serverCard(DOCS)).toEqual({
      $schema: 'https://static.modelcontextprotocol.io/schemas/v1/server-card.schema.json',
      name: 'com.example/docs',
      description: 'Finds pages.',
      version: '1.2.3',
      remotes: [
        {
          type: 'streamable-http',
          url: 'https://gw.example/servers/docs/mcp',
          headers: [
            {
              name: 'Authorization',
              description: 'Bearer and a key for this gateway',
              isRequired: true,
              isSecret: true,
              value: 'Bearer {MCPSTEAD_KEY}',
              variables: {
                MCPSTEAD_KEY: { description: 'A key for this gateway', isRequired: true, isSecret: true },
              },
            },
          ],
          supportedProtocolVersions: ['2024-11-05', '2025-03-26', '2025-06-18', '2025-11-25', '2026-07-28'],
        },
      ],
    });
  });

  it.each([
    ['none', undefined],
    ['accepted', false],
    ['required', true],
  ] as const)('asks for a key that is %s', (key, isRequired) => {
    const [remote] = (serverCard({ ...DOCS, key }) as { remotes: { headers?: { isRequired: boolean }[] }[] })
      .remotes;
    expect(remote?.headers?.[0]?.isRequired).toBe(isRequired);
  });

  it('has a description of one line and at most 100 characters, whatever the configuration says', () => {
    expect(described(undefined)).toBe('MCP server docs');
    expect(described(' \n')).toBe('MCP server docs');
    expect(described('  Finds\n\tpages. ')).toBe('Finds pages.');
    expect(described('x'.repeat(101))).toBe('x'.repeat(100));
    expect(described(`${'x'.repeat(99)} yz`)).toBe('x'.repeat(99));
    // Not cut within a character.
    expect(described('😀'.repeat(101))).toBe('😀'.repeat(100));
  });
});

it('an AI catalog refers to the cards, by the domain in reading order', () => {
  expect(aiCatalog([{ ...DOCS, publisher: 'com.Example.mcp' }])).toEqual({
    specVersion: '1.0',
    entries: [
      {
        identifier: 'urn:air:mcp.example.com:mcp:docs',
        type: 'application/mcp-server-card+json',
        url: 'https://gw.example/servers/docs/mcp/server-card',
      },
    ],
  });
});

it('an entry of a registry has the same remote, without members that its schema does not know', () => {
  expect(registryEntry({ ...DOCS, key: 'none' })).toEqual({
    server: {
      $schema: 'https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json',
      name: 'com.example/docs',
      description: 'Finds pages.',
      version: '1.2.3',
      remotes: [{ type: 'streamable-http', url: 'https://gw.example/servers/docs/mcp' }],
    },
    _meta: { 'io.modelcontextprotocol.registry/official': { status: 'active', isLatest: true } },
  });
});
