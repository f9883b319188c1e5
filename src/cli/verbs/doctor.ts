/** Looks for what keeps gateways, servers and clients apart on this machine: `mcpstead doctor`. */
import { accessSync, constants, existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { commandProblem } from '../../config/command.js';
import { loadConfig, type LoadedConfig } from '../../config/index.js';
import { stateFolder } from '../../config/listen.js';
import { Refusal } from '../../terminal/explain.js';
import type { Terminal } from '../../terminal/terminal.js';
import { configOf, defaultConfigText } from '../config-path.js';
import type { Finding } from '../finding.js';
import { outputOf, type Cell } from '../output.js';
import { askApi, gatewayOf, NO_GATEWAY } from '../target.js';
import type { Verb, Written } from '../verb.js';
import { clientFindings } from './doctor-clients.js';

const OLDEST_NODE = [20, 19] as const;
const FEW_FILES = 4096;

export const doctor: Verb = async (written, terminal) => {
  const output = outputOf(written, terminal);
  const { env } = terminal;
  const path = configOf(written, env);
  const [config, loaded] = readConfig(path, env);
  const findings: readonly Finding[] = [
    nodeVersion(),
    config,
    ...(loaded ? commands(loaded) : []),
    state(path, env),
    await gateway(written, terminal, loaded),
    ...proxies(env),
    ...certificates(env),
    ...fileLimit(),
    ...(await clientFindings(path, terminal)),
  ];
  if (output.json) output.document(findings);
  else output.table(findings.map(row));
  return findings.some(({ level }) => level === 'problem') ? 1 : 0;
};

function row({ what, level, text }: Finding): readonly Cell[] {
  const mark: Cell =
    level === 'ok' ? ['ok', 'green'] : level === 'note' ? ['note', 'yellow'] : ['problem', 'red'];
  return [mark, [what, 'bold'], text];
}

function nodeVersion(): Finding {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  const [least, second] = OLDEST_NODE;
  const isOld = major < least || (major === least && minor < second);
  return isOld
    ? {
        what: 'node',
        level: 'problem',
        text: `${process.version} is too old: install ${least}.${second} or later`,
      }
    : { what: 'node', level: 'ok', text: process.version };
}

function readConfig(path: string | undefined, env: NodeJS.ProcessEnv): readonly [Finding, LoadedConfig?] {
  const what = 'config';
  if (path === undefined)
    return [
      { what, level: 'note', text: `there is none at ${defaultConfigText()}: mcpstead init writes one` },
    ];
  try {
    const loaded = loadConfig(path, env);
    const { length } = loaded.warnings;
    const text = length === 0 ? path : `${path}: ${length} warnings, mcpstead check shows them`;
    return [{ what, level: length === 0 ? 'ok' : 'note', text }, loaded];
  } catch (error) {
    const [first = ''] = (error as Error).message.split('\n');
    return [{ what, level: 'problem', text: `${first}: mcpstead check shows all of it` }];
  }
}

/** Commands of servers that the PATH of this shell has not. */
function commands({ config }: LoadedConfig): readonly Finding[] {
  return config.servers.flatMap((server) => {
    if (server.kind !== 'stdio') return [];
    const problem = server.problem ?? commandProblem(server);
    return problem === undefined ? [] : [{ what: server.name, level: 'problem' as const, text: problem }];
  });
}

function state(config: string | undefined, env: NodeJS.ProcessEnv): Finding {
  const what = 'state';
  const folder = stateFolder(config, env);
  if (folder === undefined)
    return {
      what,
      level: 'note',
      text: 'no folder: keys and approvals are lost at a restart; set state.dir',
    };
  if (!existsSync(folder)) return { what, level: 'ok', text: `${folder}, made when it is needed` };
  try {
    accessSync(folder, constants.R_OK | constants.W_OK | constants.X_OK);
    return { what, level: 'ok', text: folder };
  } catch {
    return {
      what,
      level: 'problem',
      text: `${folder} cannot be written: change its owner, or set state.dir`,
    };
  }
}

async function gateway(
  written: Written,
  terminal: Terminal,
  loaded: LoadedConfig | undefined,
): Promise<Finding> {
  const what = 'gateway';
  const found = gatewayOf(written, terminal);
  try {
    const { status } = await askApi(found, '/-/api/v1/me', { timeoutMs: 3000 });
    if (status === 200) return { what, level: 'ok', text: `runs at ${found.origin}` };
    return {
      what,
      level: 'problem',
      text: `${found.origin} answers HTTP ${status}: another program has the port`,
    };
  } catch (error) {
    if (!(error instanceof Refusal) || error.status !== NO_GATEWAY)
      return { what, level: 'note', text: (error as Error).message };
  }
  const { host = '127.0.0.1', port = 8766 } = loaded?.config ?? {};
  const taken = await isTaken(host, port);
  return taken
    ? {
        what,
        level: 'problem',
        text: `another program has port ${port}: stop it, or set port: in the config`,
      }
    : { what, level: 'note', text: `none runs; port ${port} is free: mcpstead starts one` };
}

function isTaken(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => {
      resolve(error.code === 'EADDRINUSE');
    });
    server.listen(port, host, () => {
      server.close(() => {
        resolve(false);
      });
    });
  });
}

function proxies(env: NodeJS.ProcessEnv): readonly Finding[] {
  const named = ['HTTPS_PROXY', 'HTTP_PROXY', 'https_proxy', 'http_proxy'].filter((name) => env[name]);
  if (named.length === 0) return [];
  const exempt = `${env['NO_PROXY'] ?? ''},${env['no_proxy'] ?? ''}`;
  const what = 'proxy';
  return /(^|,)\s*(\*|localhost|127\.0\.0\.1)\s*(,|$)/.test(exempt)
    ? [{ what, level: 'ok', text: `${named.join(', ')}, not for this machine` }]
    : [
        {
          what,
          level: 'note',
          text: `${named.join(', ')} is set without NO_PROXY=localhost,127.0.0.1: clients may send requests to the gateway through it`,
        },
      ];
}

function certificates(env: NodeJS.ProcessEnv): readonly Finding[] {
  const path = env['NODE_EXTRA_CA_CERTS'];
  if (!path) return [];
  return existsSync(path)
    ? [{ what: 'certificates', level: 'ok', text: `NODE_EXTRA_CA_CERTS=${path}` }]
    : [
        {
          what: 'certificates',
          level: 'problem',
          text: `NODE_EXTRA_CA_CERTS names ${path}, which is not there`,
        },
      ];
}

function fileLimit(): readonly Finding[] {
  try {
    const [, soft] = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8')) ?? [];
    const files = Number(soft);
    if (!(files < FEW_FILES)) return [];
    const text = `only ${files} files may be open: raise ulimit -n for many clients`;
    return [{ what: 'files', level: 'note', text }];
  } catch {
    return [];
  }
}
