import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import type { ClientServer, GatewayEntry, Place } from '../../../src/cli/clients/client.js';
import { CLIENTS, clientNamed } from '../../../src/cli/clients/index.js';
import { translate } from '../../../src/cli/clients/translate.js';
import { edited, parsed, type Format } from '../../../src/cli/edit/edit.js';

const FILES: Readonly<Record<string, string>> = {
  'claude-desktop': 'claude_desktop_config.json',
  'claude-code': 'claude.json',
  cursor: 'cursor.json',
  vscode: 'vscode.json',
  windsurf: 'windsurf.json',
  zed: 'zed.json',
  gemini: 'gemini.json',
  codex: 'codex.toml',
  cline: 'cline.json',
  continue: 'continue.yaml',
  lmstudio: 'lmstudio.json',
  goose: 'goose.yaml',
};

const GATEWAY: GatewayEntry = {
  name: 'mcpstead',
  url: 'http://127.0.0.1:8766/mcp',
  bridge: { command: '/usr/bin/node', args: ['/lib/main.js', 'stdio', '--url', 'http://127.0.0.1:8766/mcp'] },
};

function textOf(client: string): string {
  const path = new URL(`../../fixtures/clients/${FILES[client] ?? ''}`, import.meta.url);
  return readFileSync(fileURLToPath(path), 'utf8');
}

function formatOf(client: string): Format {
  return client === 'codex' ? 'toml' : client === 'continue' || client === 'goose' ? 'yaml' : 'json';
}

function valueOf(client: string, text = textOf(client)): unknown {
  return parsed(text, formatOf(client), `/x/${FILES[client] ?? ''}`);
}

function serversOf(client: string): readonly ClientServer[] {
  return clientNamed(client).read(valueOf(client));
}

/** The servers as entries of the config, secrets as `FILE:name`. */
function entriesOf(client: string, answers = new Map<string, string>()) {
  return serversOf(client).map((server) =>
    translate(server, {
      name: server.name,
      platform: 'linux',
      dollars: clientNamed(client).dollars,
      answers,
      keep: (what) => `FILE:${what}`,
    }),
  );
}

describe('the files of clients', () => {
  it('have their servers with command, arguments, environment, URL and headers', () => {
    const all = Object.fromEntries(
      CLIENTS.map(({ name }) => [name, entriesOf(name).map(({ entry }) => entry)]),
    );
    expect(all).toEqual({
      'claude-desktop': [
        {
          name: 'github',
          command: 'npx',
          args: ['-y', '@modelcontextprotocol/server-github'],
          env: { GITHUB_PERSONAL_ACCESS_TOKEN: 'FILE:GITHUB_PERSONAL_ACCESS_TOKEN' },
        },
        {
          name: 'files',
          command: 'npx',
          args: ['-y', '@modelcontextprotocol/server-filesystem', '/home/me/Documents'],
        },
        {
          name: 'remote notes',
          command: 'npx',
          // mcp-remote resolves it, by its own environment.
          args: [
            '-y',
            'mcp-remote',
            'https://notes.example.com/mcp',
            '--header',
            'Authorization:$${AUTH_HEADER}',
          ],
          env: { AUTH_HEADER: 'FILE:AUTH_HEADER' },
        },
      ],
      'claude-code': [
        {
          name: 'sentry',
          url: 'https://mcp.sentry.dev/mcp',
          headers: { Authorization: 'Bearer ${SENTRY_TOKEN:-none}' },
        },
        { name: 'memory', command: 'npx', args: ['-y', '@modelcontextprotocol/server-memory'] },
        {
          name: 'shop-db',
          command: 'uvx',
          args: ['postgres-mcp'],
          env: { DATABASE_URI: 'FILE:DATABASE_URI' },
        },
      ],
      cursor: [
        {
          name: 'github',
          command: 'npx',
          args: ['-y', '@modelcontextprotocol/server-github'],
          env: { GITHUB_PERSONAL_ACCESS_TOKEN: 'FILE:GITHUB_PERSONAL_ACCESS_TOKEN' },
        },
        {
          name: 'files',
          command: 'npx',
          args: ['-y', '@modelcontextprotocol/server-filesystem', '/home/me/other'],
        },
        {
          name: 'linear',
          url: 'https://mcp.linear.app/mcp',
          headers: { Authorization: 'Bearer ${LINEAR_TOKEN}' },
        },
      ],
      vscode: [
        { name: 'figma', url: 'https://mcp.figma.com/mcp', headers: { 'X-Figma-Token': '${input:figma}' } },
        { name: 'local', command: 'node', args: ['${workspaceFolder}/server.js'] },
      ],
      windsurf: [
        { name: 'search', url: 'https://search.example.com/mcp?api_key=FILE:url' },
        { name: 'time', command: 'uvx', args: ['mcp-server-time'], disabled: true },
      ],
      zed: [
        { name: 'old-form', command: '/opt/tools/mcp', args: ['--stdio'], env: { LEVEL: 'debug' } },
        {
          name: 'docs',
          url: 'https://docs.example.com/mcp',
          headers: { Authorization: 'FILE:Authorization' },
        },
      ],
      gemini: [
        {
          name: 'weather',
          url: 'https://weather.example.com/mcp',
          headers: { 'X-API-Key': '${WEATHER_KEY}' },
        },
        { name: 'events', url: 'https://events.example.com/sse', protocol: 'sse' },
        {
          name: 'paused',
          command: 'python3',
          args: ['-m', 'paused', '--home=${HOME}/data'],
          cwd: '/srv/paused',
          disabled: true,
        },
      ],
      codex: [
        {
          name: 'context7',
          command: 'npx',
          args: ['-y', '@upstash/context7-mcp'],
          env: { CONTEXT7_API_KEY: 'FILE:CONTEXT7_API_KEY' },
          inherit_env: ['HTTPS_PROXY'],
        },
        {
          name: 'tracker',
          url: 'https://tracker.example.com/mcp',
          headers: { Authorization: 'Bearer ${TRACKER_TOKEN}' },
          disabled: true,
        },
      ],
      cline: [
        { name: 'browser', command: 'npx', args: ['-y', 'browser-mcp'] },
        { name: 'feed', url: 'https://feed.example.com/sse', protocol: 'sse' },
        { name: 'nested', url: 'https://nested.example.com/mcp' },
      ],
      continue: [
        { name: 'sqlite', command: 'npx', args: ['-y', 'mcp-sqlite', '/data/app.db'] },
        {
          name: 'wiki',
          url: 'https://wiki.example.com/mcp',
          headers: { Authorization: 'Bearer ${WIKI_TOKEN}' },
        },
      ],
      lmstudio: [
        { name: 'hf', url: 'https://huggingface.co/mcp', headers: { Authorization: 'FILE:Authorization' } },
      ],
      goose: [
        {
          name: 'jira',
          command: 'uvx',
          args: ['mcp-atlassian'],
          env: { JIRA_URL: 'https://jira.example.com', JIRA_TOKEN: '${keyring:JIRA_TOKEN}' },
        },
        { name: 'maps', url: 'https://maps.example.com/mcp', disabled: true },
      ],
    });
  });

  it('name what only a person can give, and what has no counterpart', () => {
    const asks = CLIENTS.flatMap(({ name }) => entriesOf(name).flatMap((each) => each.asks));
    expect(asks).toEqual(['${input:figma}', '${workspaceFolder}', '${keyring:JIRA_TOKEN}']);
    expect(entriesOf('vscode')[1]?.unknown).toEqual(['envFile']);
    expect(entriesOf('cline')[0]?.unknown).toEqual(['autoApprove', 'timeout']);
    expect(entriesOf('gemini')[0]?.variables).toEqual(['WEATHER_KEY']);
  });

  it('get the answers of a person, as secrets', () => {
    const [figma] = entriesOf('vscode', new Map([['${input:figma}', 'pa$${X}']]));
    expect(figma).toMatchObject({
      asks: [],
      secrets: 1,
      entry: { headers: { 'X-Figma-Token': 'FILE:X-Figma-Token' } },
    });
  });

  it.each(CLIENTS.map(({ name }) => name))(
    'of %s: the gateway comes and goes, and all other bytes stay',
    (name) => {
      const client = clientNamed(name);
      const gateway: GatewayEntry = {
        name: 'mcpstead',
        url: 'http://127.0.0.1:8766/mcp',
        token: client.variable ? { variable: 'KEY' } : { key: 'mcps_x' },
        bridge: {
          command: '/usr/bin/node',
          args: ['/lib/main.js', 'stdio', '--url', 'http://127.0.0.1:8766/mcp'],
        },
      };
      const before = textOf(name);
      const file = `/x/${FILES[name] ?? ''}`;
      const format = formatOf(name);
      const after = edited(before, format, file, client.write(gateway, valueOf(name)));
      const added = client.read(valueOf(name, after)).find((server) => server.name === 'mcpstead');
      expect(added?.url ?? added?.args.at(-1)).toBe(gateway.url);
      const back = edited(after, format, file, [...client.clear('mcpstead', valueOf(name, after))].reverse());
      expect(back).toBe(before);
    },
  );

  it('that are not there are made', () => {
    const fresh = CLIENTS.map((client) => {
      const { name } = client;
      const file = `/x/${FILES[name] ?? ''}`;
      const token = client.variable ? { variable: 'KEY' } : { key: 'mcps_x' };
      const text = edited('', formatOf(name), file, client.write({ ...GATEWAY, token }, undefined));
      expect(client.read(valueOf(name, text)).map((server) => server.name)).toEqual(['mcpstead']);
      return `${name}:\n${text}`;
    });
    expect(fresh.join('')).toMatchInlineSnapshot(`
      "claude-desktop:
      {
        "mcpServers": {
          "mcpstead": {
            "command": "/usr/bin/node",
            "args": [
              "/lib/main.js",
              "stdio",
              "--url",
              "http://127.0.0.1:8766/mcp"
            ],
            "env": {
              "MCPSTEAD_BEARER_TOKEN": "mcps_x"
            }
          }
        }
      }
      claude-code:
      {
        "mcpServers": {
          "mcpstead": {
            "type": "http",
            "url": "http://127.0.0.1:8766/mcp",
            "headers": {
              "Authorization": "Bearer \${KEY}"
            }
          }
        }
      }
      cursor:
      {
        "mcpServers": {
          "mcpstead": {
            "url": "http://127.0.0.1:8766/mcp",
            "headers": {
              "Authorization": "Bearer \${env:KEY}"
            }
          }
        }
      }
      vscode:
      {
        "servers": {
          "mcpstead": {
            "type": "http",
            "url": "http://127.0.0.1:8766/mcp",
            "headers": {
              "Authorization": "Bearer \${input:KEY}"
            }
          }
        },
        "inputs": [
          {
            "type": "promptString",
            "id": "KEY",
            "description": "the key of mcpstead",
            "password": true
          }
        ]
      }
      windsurf:
      {
        "mcpServers": {
          "mcpstead": {
            "serverUrl": "http://127.0.0.1:8766/mcp",
            "headers": {
              "Authorization": "Bearer \${env:KEY}"
            }
          }
        }
      }
      zed:
      {
        "context_servers": {
          "mcpstead": {
            "url": "http://127.0.0.1:8766/mcp",
            "headers": {
              "Authorization": "Bearer mcps_x"
            }
          }
        }
      }
      gemini:
      {
        "mcpServers": {
          "mcpstead": {
            "httpUrl": "http://127.0.0.1:8766/mcp",
            "headers": {
              "Authorization": "Bearer $KEY"
            }
          }
        }
      }
      codex:
      [mcp_servers.mcpstead]
      url = "http://127.0.0.1:8766/mcp"
      bearer_token_env_var = "KEY"
      cline:
      {
        "mcpServers": {
          "mcpstead": {
            "type": "streamableHttp",
            "url": "http://127.0.0.1:8766/mcp",
            "headers": {
              "Authorization": "Bearer mcps_x"
            }
          }
        }
      }
      continue:
      name: Local Config
      version: 1.0.0
      schema: v1
      mcpServers:
        - name: mcpstead
          type: streamable-http
          url: http://127.0.0.1:8766/mcp
          requestOptions:
            headers:
              Authorization: Bearer \${{ secrets.KEY }}
      lmstudio:
      {
        "mcpServers": {
          "mcpstead": {
            "url": "http://127.0.0.1:8766/mcp",
            "headers": {
              "Authorization": "Bearer mcps_x"
            }
          }
        }
      }
      goose:
      extensions:
        mcpstead:
          enabled: true
          type: streamable_http
          name: mcpstead
          description: the servers of mcpstead
          uri: http://127.0.0.1:8766/mcp
          envs: {}
          env_keys: []
          headers:
            Authorization: Bearer mcps_x
          timeout: 300
      "
    `);
  });
});

describe('places', () => {
  const on = (platform: NodeJS.Platform, env: NodeJS.ProcessEnv, home: string, project?: string): Place => ({
    platform,
    env,
    home,
    project,
  });
  const paths = (place: Place) =>
    Object.fromEntries(CLIENTS.map((client) => [client.name, client.find(place).map(({ path }) => path)]));

  it('on Linux', () => {
    expect(paths(on('linux', {}, '/home/me'))).toMatchInlineSnapshot(`
      {
        "claude-code": [
          "/home/me/.claude.json",
        ],
        "claude-desktop": [
          "/home/me/.config/Claude/claude_desktop_config.json",
        ],
        "cline": [
          "/home/me/.cline/data/settings/cline_mcp_settings.json",
          "/home/me/.cline/mcp.json",
          "/home/me/.config/Code/User/globalStorage/saoudrizwan.claude-dev/settings/cline_mcp_settings.json",
        ],
        "codex": [
          "/home/me/.codex/config.toml",
        ],
        "continue": [
          "/home/me/.continue/config.yaml",
        ],
        "cursor": [
          "/home/me/.cursor/mcp.json",
        ],
        "gemini": [
          "/home/me/.gemini/settings.json",
        ],
        "goose": [
          "/home/me/.config/goose/config.yaml",
        ],
        "lmstudio": [
          "/home/me/.lmstudio/mcp.json",
          "/home/me/.cache/lm-studio/mcp.json",
        ],
        "vscode": [
          "/home/me/.config/Code/User/mcp.json",
        ],
        "windsurf": [
          "/home/me/.codeium/windsurf/mcp_config.json",
        ],
        "zed": [
          "/home/me/.config/zed/settings.json",
        ],
      }
    `);
    expect(clientNamed('zed').find(on('linux', { XDG_CONFIG_HOME: '/cfg' }, '/home/me'))[0]?.path).toBe(
      '/cfg/zed/settings.json',
    );
    const named = { CODEX_HOME: '/codex', CLAUDE_CONFIG_DIR: '/claude' };
    expect(clientNamed('codex').find(on('linux', named, '/home/me'))[0]?.path).toBe('/codex/config.toml');
    expect(clientNamed('claude-code').find(on('linux', named, '/home/me'))[0]?.path).toBe(
      '/claude/.claude.json',
    );
  });

  it('on macOS', () => {
    expect(paths(on('darwin', {}, '/Users/me'))).toMatchInlineSnapshot(`
      {
        "claude-code": [
          "/Users/me/.claude.json",
        ],
        "claude-desktop": [
          "/Users/me/Library/Application Support/Claude/claude_desktop_config.json",
        ],
        "cline": [
          "/Users/me/.cline/data/settings/cline_mcp_settings.json",
          "/Users/me/.cline/mcp.json",
          "/Users/me/Library/Application Support/Code/User/globalStorage/saoudrizwan.claude-dev/settings/cline_mcp_settings.json",
        ],
        "codex": [
          "/Users/me/.codex/config.toml",
        ],
        "continue": [
          "/Users/me/.continue/config.yaml",
        ],
        "cursor": [
          "/Users/me/.cursor/mcp.json",
        ],
        "gemini": [
          "/Users/me/.gemini/settings.json",
        ],
        "goose": [
          "/Users/me/.config/goose/config.yaml",
        ],
        "lmstudio": [
          "/Users/me/.lmstudio/mcp.json",
          "/Users/me/.cache/lm-studio/mcp.json",
        ],
        "vscode": [
          "/Users/me/Library/Application Support/Code/User/mcp.json",
        ],
        "windsurf": [
          "/Users/me/.codeium/windsurf/mcp_config.json",
        ],
        "zed": [
          "/Users/me/.config/zed/settings.json",
        ],
      }
    `);
  });

  it('on Windows', () => {
    const env = { APPDATA: 'C:\\Users\\me\\AppData\\Roaming' };
    expect(paths(on('win32', env, 'C:\\Users\\me'))).toMatchInlineSnapshot(`
      {
        "claude-code": [
          "C:\\Users\\me\\.claude.json",
        ],
        "claude-desktop": [
          "C:\\Users\\me\\AppData\\Roaming\\Claude\\claude_desktop_config.json",
        ],
        "cline": [
          "C:\\Users\\me\\.cline\\data\\settings\\cline_mcp_settings.json",
          "C:\\Users\\me\\.cline\\mcp.json",
          "C:\\Users\\me\\AppData\\Roaming\\Code\\User\\globalStorage\\saoudrizwan.claude-dev\\settings\\cline_mcp_settings.json",
        ],
        "codex": [
          "C:\\Users\\me\\.codex\\config.toml",
        ],
        "continue": [
          "C:\\Users\\me\\.continue\\config.yaml",
        ],
        "cursor": [
          "C:\\Users\\me\\.cursor\\mcp.json",
        ],
        "gemini": [
          "C:\\Users\\me\\.gemini\\settings.json",
        ],
        "goose": [
          "C:\\Users\\me\\AppData\\Roaming\\Block\\goose\\config\\config.yaml",
        ],
        "lmstudio": [
          "C:\\Users\\me\\.lmstudio\\mcp.json",
          "C:\\Users\\me\\.cache\\lm-studio\\mcp.json",
        ],
        "vscode": [
          "C:\\Users\\me\\AppData\\Roaming\\Code\\User\\mcp.json",
        ],
        "windsurf": [
          "C:\\Users\\me\\.codeium\\windsurf\\mcp_config.json",
        ],
        "zed": [
          "C:\\Users\\me\\AppData\\Roaming\\Zed\\settings.json",
        ],
      }
    `);
  });

  it('of a project', () => {
    expect(paths(on('linux', {}, '/home/me', '/work/shop'))).toMatchInlineSnapshot(`
      {
        "claude-code": [
          "/work/shop/.mcp.json",
        ],
        "claude-desktop": [],
        "cline": [],
        "codex": [
          "/work/shop/.codex/config.toml",
        ],
        "continue": [
          "/work/shop/.continue/mcpServers/mcpstead.yaml",
        ],
        "cursor": [
          "/work/shop/.cursor/mcp.json",
        ],
        "gemini": [
          "/work/shop/.gemini/settings.json",
        ],
        "goose": [],
        "lmstudio": [],
        "vscode": [
          "/work/shop/.vscode/mcp.json",
        ],
        "windsurf": [],
        "zed": [],
      }
    `);
  });
});
