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
// it. An entry that is built has `source`, for example 'drivers/go-sdk': it is built anew when a file there changes.
// The helpers of install.mjs: npmInto(folder, packages),
// venvWith(folder, packages), goBuild(folder, source), cargoBuild(folder, source), maven(folder, source); `source` is a
// folder of compat/, which is copied into `folder` and built there. goBuild gives <folder>/bin/<name of source>,
// cargoBuild <folder>/target/release/<name of source>, maven <folder>/target/<name of source>.jar with all its classes
// in it.
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
// and answers {"id":1,"ok":VALUE}, {"id":1,"error":{code,message,data}} or {"id":1,"unsupported":"why"}; between them
// stand events: {"event":"progress"|"log"|"question"|"changed"|"updated","of":ID|null,"value":..}.

import { npmInto, venvWith } from './install.mjs';

const python = (name, packages) => ({
  folder: name.toLowerCase().replaceAll(' ', '-'),
  language: 'Python',
  registry: 'PyPI',
  packages,
  needs: ['python3'],
  install: (folder) => venvWith(folder, packages),
});

const node = (name, packages) => ({
  folder: name.toLowerCase().replaceAll(/[^a-z0-9.]+/g, '-'),
  language: 'TypeScript',
  registry: 'npm',
  packages,
  install: (folder) => npmInto(folder, packages),
});

export const software = {
  mcp1: python('python mcp 1.30', { mcp: '1.30.0' }),
  mcp2: python('python mcp 2.3', { mcp: '2.3.0' }),
  fastmcp3: python('fastmcp 3.4', { fastmcp: '3.4.11' }),
  fastmcp4: python('fastmcp 4.2', { fastmcp: '4.2.3' }),
  chuk: python('chuk', { 'chuk-mcp-server': '0.26.1' }),
  dedalus: python('dedalus', { 'dedalus-mcp': '0.7.0' }),
  langchain: python('langchain', { 'langchain-mcp-adapters': '0.3.2' }),
  agents: python('openai-agents', { 'openai-agents': '0.24.0' }),
  gradio: python('gradio', { 'gradio[mcp]': '6.31.0' }),
  everything: node('everything', { '@modelcontextprotocol/server-everything': '2026.8.31' }),
  postgres: node('postgres', { '@modelcontextprotocol/server-postgres': '0.6.2' }),
  playwright: node('playwright', { '@playwright/mcp': '0.0.83' }),
  tmcp: node('tmcp', { tmcp: '1.20.0', '@tmcp/transport-stdio': '0.5.0', '@tmcp/transport-http': '0.9.0', '@tmcp/adapter-zod': '0.1.7' }),
  lite: node('mcp-lite', { 'mcp-lite': '0.10.0' }),
  ai: node('ai-sdk', { '@ai-sdk/mcp': '2.0.99' }),
  mcporter: node('mcporter', { mcporter: '0.12.3' }),
  sdk1: node('sdk v1', { '@modelcontextprotocol/sdk': '1.32.2' }),
  sdk2: node('sdk v2', { '@modelcontextprotocol/client': '2.4.0' }),
};
