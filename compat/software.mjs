// The software that `npm run compat` runs beside the gateway: by name and version, from its registries.
//
// Server entry:
//   { name, language, registry,            'FastMCP 4.2', 'Python', 'PyPI'
//     packages: { name: version },         what is installed; the versions go into the document
//     needs: ['go'],                       programs that have to be in PATH, none: Node alone
//     install(folder) -> Promise,          installs into its own folder of the cache; kept by a stamp
//     transports: [{ name: 'stdio' | 'http' | 'http json' | 'http stateless' | 'sse',
//                    start(folder, port) -> { command, args, env?, cwd?, url? } }],
//     plan?: { calls?: [{ name, arguments }], skip?: { operation or tool: why } } }
//   Over stdio the command is what a client starts. Over HTTP the runner starts it, and waits until `port` of 127.0.0.1
//   accepts connections; `url` is the endpoint.
// Client entry:
//   { name, language, registry, packages, needs, install(folder),
//     driver(folder) -> { command, args, env?, cwd? },
//     eras: ['legacy', 'modern'] }         what `connect` is asked for; a client that cannot choose has one
//
// `folder` is <cache>/server-<name in lower case, with dashes>, or client-<..>; entries that name the same `folder` share
// it. An entry that is built has `source`, for example 'drivers/java': it is built anew when a file there changes.
//
// Tools that a server of compat/servers/ has, as far as its SDK can: `echo` {text} -> the text; `structured` {} ->
// {"answer":42,"list":["a","b"]} with an output schema; `image` {} -> a PNG of one pixel; `fail` {} -> an error result;
// `progress` {steps} -> notifications/progress 1..steps of steps, 30 ms apart, with message "step N"; `log` {} -> one log
// message of level info, data "hello log"; `wait` {ms} -> waits, reports progress at its start, ends when it is cancelled;
// `ask` {} -> elicitation of a form with name (string), count (integer, minimum 3), sure (boolean), colour (enum
// red|green), and gives the answer as JSON text; `sample` {} -> asks for a sampling and gives its text; `roots` {} -> the
// URIs of the roots as JSON text; `touch` {} -> updates `compat://counter`. Resources: `compat://text` (text/plain),
// `compat://binary` (a blob), `compat://counter` (can be subscribed); template `compat://item/{id}`; prompt `greet`
// {name}; completion of `name` of greet: what starts with the value of anna, ben, bert.
//
// A driver (compat/drivers/) reads JSON lines on stdin: {"id":1,"do":"connect","target":{..},"era":"legacy"|"modern"},
// and answers {"id":1,"ok":VALUE}, {"id":1,"error":{code,message,data}} or {"id":1,"unsupported":"why"}; with events in
// between: {"event":"progress"|"log"|"question"|"changed"|"updated","of":ID|null,"value":..}.

import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { here, npmInto, pythonOf, venvWith } from './install.mjs';
import * as compiled from './software-compiled.mjs';

const python = (folder, packages) => ({
  folder,
  language: 'Python',
  registry: 'PyPI',
  packages,
  needs: ['python3'],
  install: (path) => venvWith(path, packages),
});

const node = (folder, packages) => ({
  folder,
  language: 'TypeScript',
  registry: 'npm',
  packages,
  install: (path) => npmInto(path, packages),
});

const PYTHON = {
  mcp1: python('python-mcp-1.30', { mcp: '1.30.0' }),
  mcp2: python('python-mcp-2.3', { mcp: '2.3.0' }),
  fastmcp3: python('fastmcp-3.4', { fastmcp: '3.4.11' }),
  fastmcp4: python('fastmcp-4.2', { fastmcp: '4.2.3' }),
  chuk: python('chuk', { 'chuk-mcp-server': '0.26.1' }),
  // Its own requirement takes a newer mcp than it works with.
  dedalus: python('dedalus', { 'dedalus-mcp': '0.7.0', mcp: '1.30.0' }),
  gradio: python('gradio', { 'gradio[mcp]': '6.31.0' }),
  langchain: python('langchain', { 'langchain-mcp-adapters': '0.3.2' }),
  agents: python('openai-agents', { 'openai-agents': '0.24.0' }),
};

/** The transports of a server in Python: each is a mode of its program. */
const MODES = {
  stdio: 'stdio',
  http: 'http',
  'http json': 'json',
  'http stateless': 'stateless',
  sse: 'sse',
};
/** A server on the older SDK waits indefinitely for the answer to a question that it cannot send. */
const NO_QUESTIONS = Object.fromEntries(
  ['ask', 'sample', 'roots'].map((tool) => [`call ${tool}`, 'no stream to ask on']),
);
const pythonTransports = (file, names, { path = '/mcp', mute = false } = {}) =>
  names.map((name) => ({
    name,
    ...(mute && (name === 'http json' || name === 'http stateless') ? { plan: { skip: NO_QUESTIONS } } : {}),
    start: (folder, port) => ({
      command: pythonOf(folder),
      args: [join(here, 'servers', file), MODES[name], ...(name === 'stdio' ? [] : [String(port)])],
      env: { GRADIO_ANALYTICS_ENABLED: 'False' },
      ...(name === 'stdio' ? {} : { url: `http://127.0.0.1:${port}${name === 'sse' ? '/sse' : path}` }),
    }),
  }));

/** Files in JavaScript run where their packages are: Node looks for packages beside the file. */
function inFolder(folder, kind, file) {
  cpSync(join(here, kind), join(folder, kind), { recursive: true });
  return join(folder, kind, file);
}

const nodeTransports = (file, names) =>
  names.map((name) => ({
    name,
    start: (folder, port) => ({
      command: process.execPath,
      args: [inFolder(folder, 'servers', file), name, ...(name === 'stdio' ? [] : [String(port)])],
      ...(name === 'stdio' ? {} : { url: `http://127.0.0.1:${port}/mcp` }),
    }),
  }));

const programOf = (folder, path) => join(folder, 'node_modules', path);
const onStdio = (path, args = []) => ({
  name: 'stdio',
  start: (folder) => ({ command: process.execPath, args: [programOf(folder, path), ...args] }),
});

const ALL = Object.keys(MODES);
const EVERYTHING = '@modelcontextprotocol/server-everything/dist/index.js';
const everythingOverHttp = (name, mode, path) => ({
  name,
  start: (folder, port) => ({
    command: process.execPath,
    args: [programOf(folder, EVERYTHING), mode],
    env: { PORT: String(port) },
    url: `http://127.0.0.1:${port}${path}`,
  }),
});

export const servers = [
  { name: 'Python mcp 1.30', ...PYTHON.mcp1, transports: pythonTransports('mcp1.py', ALL, { mute: true }) },
  { name: 'Python mcp 2.3', ...PYTHON.mcp2, transports: pythonTransports('mcp2.py', ALL) },
  {
    name: 'FastMCP 3.4',
    ...PYTHON.fastmcp3,
    transports: pythonTransports('fastmcp_server.py', ['stdio', 'http', 'http stateless'], { mute: true }),
  },
  {
    name: 'FastMCP 4.2',
    ...PYTHON.fastmcp4,
    transports: pythonTransports('fastmcp_server.py', ['stdio', 'http', 'http stateless']),
  },
  {
    name: 'chuk-mcp-server 0.26',
    ...PYTHON.chuk,
    transports: pythonTransports('chuk.py', ['stdio', 'http']),
  },
  {
    name: 'dedalus-mcp 0.7',
    ...PYTHON.dedalus,
    transports: pythonTransports('dedalus.py', ['stdio', 'http']),
  },
  {
    name: 'gradio 6',
    ...PYTHON.gradio,
    transports: pythonTransports('gradio_server.py', ['http'], { path: '/gradio_api/mcp/' }),
    plan: {
      calls: [
        { name: 'echo', arguments: { text: 'hello' } },
        { name: 'fail', arguments: {} },
      ],
    },
  },
  {
    name: 'server-everything',
    ...node('everything', { '@modelcontextprotocol/server-everything': '2026.8.31' }),
    transports: [
      onStdio(EVERYTHING, ['stdio']),
      everythingOverHttp('http', 'streamableHttp', '/mcp'),
      everythingOverHttp('sse', 'sse', '/sse'),
    ],
    plan: {
      calls: [
        { name: 'echo', arguments: { message: 'hello ✓' } },
        { name: 'get-sum', arguments: { a: 2, b: 3 } },
        { name: 'get-tiny-image', arguments: {} },
        { name: 'get-structured-content', arguments: { location: 'New York' } },
        { name: 'get-annotated-message', arguments: { messageType: 'error', includeImage: true } },
        { name: 'get-resource-links', arguments: { count: 3 } },
        { name: 'get-roots-list', arguments: {} },
        { name: 'trigger-long-running-operation', arguments: { duration: 1, steps: 4 }, progress: true },
        { name: 'trigger-elicitation-request', arguments: {} },
        { name: 'trigger-sampling-request', arguments: { prompt: 'hello', maxTokens: 10 } },
      ],
      cancel: {
        name: 'trigger-long-running-operation',
        arguments: { duration: 8, steps: 4 },
        cancelAfterMs: 300,
      },
      items: ['demo://resource/dynamic/text/7'],
    },
  },
  {
    name: 'server-postgres 0.6',
    ...node('postgres', { '@modelcontextprotocol/server-postgres': '0.6.2' }),
    transports: [
      onStdio('@modelcontextprotocol/server-postgres/dist/index.js', ['postgresql://127.0.0.1:9/nothing']),
    ],
    plan: { calls: [{ name: 'query', arguments: { sql: 'select 1' } }] },
  },
  {
    name: 'playwright-mcp',
    ...node('playwright', { '@playwright/mcp': '0.0.83' }),
    transports: [onStdio('@playwright/mcp/cli.js', ['--headless'])],
    plan: { calls: [{ name: 'browser_close', arguments: {} }] },
  },
  {
    name: 'tmcp 1.20',
    ...node('tmcp', {
      tmcp: '1.20.0',
      '@tmcp/transport-stdio': '0.5.0',
      '@tmcp/transport-http': '0.9.0',
      '@tmcp/adapter-zod': '0.1.7',
      zod: '4.6.7',
    }),
    transports: nodeTransports('tmcp.mjs', ['stdio', 'http']),
  },
  {
    name: 'mcp-lite 0.10',
    ...node('mcp-lite', { 'mcp-lite': '0.10.0', zod: '4.6.7' }),
    transports: nodeTransports('mcp-lite.mjs', ['http']),
  },
  ...compiled.servers,
];

const pythonDriver = (file) => (folder) => ({
  command: pythonOf(folder),
  args: [join(here, 'drivers', file)],
});
const nodeDriver = (file) => (folder) => ({
  command: process.execPath,
  args: [inFolder(folder, 'drivers', file)],
});

const BOTH = ['legacy', 'modern'];
export const clients = [
  {
    name: 'TypeScript SDK 1.32',
    ...node('sdk-v1', { '@modelcontextprotocol/sdk': '1.32.2' }),
    driver: nodeDriver('sdk1.mjs'),
    eras: ['legacy'],
  },
  {
    name: 'TypeScript SDK 2.4',
    ...node('sdk-v2', { '@modelcontextprotocol/client': '2.4.0' }),
    driver: nodeDriver('sdk2.mjs'),
    eras: BOTH,
  },
  { name: 'Python mcp 1.30', ...PYTHON.mcp1, driver: pythonDriver('mcp1.py'), eras: ['legacy'] },
  { name: 'Python mcp 2.3', ...PYTHON.mcp2, driver: pythonDriver('mcp2.py'), eras: BOTH },
  { name: 'FastMCP 3.4', ...PYTHON.fastmcp3, driver: pythonDriver('fastmcp_client.py'), eras: ['legacy'] },
  { name: 'FastMCP 4.2', ...PYTHON.fastmcp4, driver: pythonDriver('fastmcp_client.py'), eras: BOTH },
  // The following choose the era themselves.
  {
    name: 'langchain-mcp-adapters 0.3',
    ...PYTHON.langchain,
    driver: pythonDriver('langchain.py'),
    eras: ['own'],
  },
  { name: 'openai-agents 0.24', ...PYTHON.agents, driver: pythonDriver('openai_agents.py'), eras: ['own'] },
  {
    name: '@ai-sdk/mcp 2.0',
    ...node('ai-sdk', { '@ai-sdk/mcp': '2.0.99' }),
    driver: nodeDriver('ai-sdk.mjs'),
    eras: ['own'],
  },
  {
    name: 'mcporter 0.12',
    ...node('mcporter', { mcporter: '0.12.3' }),
    driver: nodeDriver('mcporter.mjs'),
    eras: ['own'],
  },
  ...compiled.clients,
];

/** Every server is run with these clients; its transports beside stdio and plain HTTP with the first one. */
export const REFERENCE_CLIENTS = ['Python mcp 2.3, legacy', 'TypeScript SDK 2.4, modern'];
/** Every client is run with these servers. */
export const REFERENCE_SERVERS = [
  'server-everything, stdio',
  'server-everything, http',
  'Python mcp 2.3, http',
  'FastMCP 4.2, http',
  'Go SDK 1.8 everything, http',
];
