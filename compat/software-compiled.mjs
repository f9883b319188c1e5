// The compiled part of the software: clients and servers in Go, Java and Rust. The shape of the entries is in software.mjs.
import { execFile } from 'node:child_process';
import { cpSync, mkdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const here = fileURLToPath(new URL('.', import.meta.url));
const started = promisify(execFile);

async function run(command, args, cwd, env = {}) {
  try {
    await started(command, args, {
      cwd,
      env: { ...process.env, ...env },
      maxBuffer: 1 << 26,
      timeout: 15 * 60_000,
    });
  } catch (error) {
    if (error.code === 'ENOENT') throw new Error(`${command} is not in PATH`, { cause: error });
    throw new Error(`${command} ${args.join(' ')}: ${error.stdout ?? ''}${error.stderr ?? error.message}`, {
      cause: error,
    });
  }
}

/** Nothing is built inside of the clone: the source is copied into the cache. */
function copied(folder, source) {
  const into = join(folder, 'source');
  cpSync(join(here, source), into, { recursive: true });
  return into;
}

/** Builds one package of a Go module of compat/ into <folder>/bin. */
async function goBuild(folder, source, pkg) {
  const name = pkg === '.' ? basename(source) : basename(pkg);
  const env = { GOFLAGS: '-mod=mod', CGO_ENABLED: '0' };
  await run('go', ['build', '-trimpath', '-o', join(folder, 'bin', name), pkg], copied(folder, source), env);
}

/** Installs a program of a published Go module into <folder>/bin, under the last part of its path. */
async function goInstall(folder, pkg, version) {
  mkdirSync(folder, { recursive: true });
  const env = { GOBIN: join(folder, 'bin'), GOFLAGS: '', CGO_ENABLED: '0' };
  await run('go', ['install', `${pkg}@${version}`], folder, env);
}

async function cargoBuild(folder, source) {
  const env = { CARGO_TARGET_DIR: join(folder, 'target') };
  await run('cargo', ['build', '--release', '--quiet', '--locked'], copied(folder, source), env);
}

async function mavenBuild(folder, source, sdk) {
  await run('mvn', ['-q', '-B', 'package', `-Dsdk=${sdk}`], copied(folder, source));
}

const GO_SDK = 'github.com/modelcontextprotocol/go-sdk';
const MCP_GO = 'github.com/mark3labs/mcp-go';
const JAVA_SDK = 'io.modelcontextprotocol.sdk:mcp';
const bin = (name) => (folder) => ({ command: join(folder, 'bin', name), args: [] });
const endpoint = (port) => `http://127.0.0.1:${port}/mcp`;

const goClient = (name, pkg, packages) => ({
  name,
  language: 'Go',
  registry: 'Go module proxy',
  packages,
  needs: ['go'],
  source: 'drivers/go',
  install: (folder) => goBuild(folder, 'drivers/go', `./${pkg}`),
  driver: bin(pkg),
  eras: ['legacy', 'modern'],
});

const javaClient = (name, sdk) => ({
  name,
  language: 'Java',
  registry: 'Maven Central',
  packages: { [JAVA_SDK]: sdk },
  needs: ['mvn', 'java'],
  source: 'drivers/java',
  install: (folder) => mavenBuild(folder, 'drivers/java', sdk),
  driver: (folder) => ({ command: 'java', args: ['-jar', join(folder, 'source/target/java.jar')] }),
  eras: ['legacy'],
});

export const clients = [
  goClient('Go SDK 1.8', 'go-sdk', { [GO_SDK]: '1.8.0' }),
  goClient('mcp-go 1.2', 'mcp-go', { [MCP_GO]: '1.2.1' }),
  javaClient('Java SDK 1.1', '1.1.5'),
  javaClient('Java SDK 2.1', '2.1.0'),
  {
    name: 'rmcp 3.11',
    language: 'Rust',
    registry: 'crates.io',
    packages: { rmcp: '3.11.0' },
    needs: ['cargo'],
    source: 'drivers/rmcp',
    install: (folder) => cargoBuild(folder, 'drivers/rmcp'),
    driver: (folder) => ({ command: join(folder, 'target/release/rmcp'), args: [] }),
    eras: ['legacy', 'modern'],
  },
];

/** The transports of a server of compat/servers/ that takes `http PORT [KIND]`. */
const ownTransports = (command, kinds) => [
  { name: 'stdio', start: (folder) => ({ command: command(folder), args: [] }) },
  ...[['http', []], ...kinds.map((kind) => [`http ${kind}`, [kind]])].map(([name, more]) => ({
    name,
    start: (folder, port) => ({
      command: command(folder),
      args: ['http', String(port), ...more],
      url: endpoint(port),
    }),
  })),
];

export const servers = [
  {
    name: 'Go SDK 1.8 everything',
    language: 'Go',
    registry: 'Go module proxy',
    packages: { [GO_SDK]: '1.8.0' },
    needs: ['go'],
    install: (folder) => goInstall(folder, `${GO_SDK}/examples/server/everything`, 'v1.8.0'),
    transports: [
      { name: 'stdio', start: bin('everything') },
      {
        name: 'http',
        start: (folder, port) => ({
          command: join(folder, 'bin/everything'),
          args: ['-http', `127.0.0.1:${port}`],
          url: `http://127.0.0.1:${port}/`,
        }),
      },
    ],
    plan: {
      calls: [
        { name: 'greet', arguments: { name: 'Ann' } },
        { name: 'greet (structured)', arguments: { name: 'Ann' } },
        { name: 'greet (with Icons)', arguments: { name: 'Ann' } },
        { name: 'greet (content with ResourceLink)', arguments: { name: 'Ann' } },
        { name: 'ping', arguments: {} },
        { name: 'log', arguments: {} },
        { name: 'sample', arguments: {} },
        { name: 'elicit (form)', arguments: {} },
        { name: 'elicit (url)', arguments: {} },
        { name: 'roots', arguments: {} },
      ],
      items: [],
    },
  },
  {
    name: 'mcp-go 1.2 everything',
    language: 'Go',
    registry: 'Go module proxy',
    packages: { [MCP_GO]: '1.2.1' },
    needs: ['go'],
    install: (folder) => goInstall(folder, `${MCP_GO}/examples/everything`, 'v1.2.1'),
    // Over HTTP it listens on all addresses and on port 8080 alone: the server of servers/mcp-go stands for that.
    transports: [{ name: 'stdio', start: bin('everything') }],
    plan: {
      calls: [
        { name: 'echo', arguments: { message: 'hello' } },
        { name: 'add', arguments: { a: 2, b: 3 } },
        // It fails where the call has no progress token.
        { name: 'longRunningOperation', arguments: { duration: 1, steps: 4 }, progress: true },
        { name: 'notify', arguments: {} },
        { name: 'getTinyImage', arguments: {} },
        { name: 'get_resource_link', arguments: {} },
      ],
      items: ['test://dynamic/resource/7'],
    },
  },
  {
    name: 'mcp-go 1.2',
    language: 'Go',
    registry: 'Go module proxy',
    packages: { [MCP_GO]: '1.2.1' },
    needs: ['go'],
    source: 'servers/mcp-go',
    install: (folder) => goBuild(folder, 'servers/mcp-go', '.'),
    transports: ownTransports((folder) => join(folder, 'bin/mcp-go'), ['stateless']),
  },
  {
    name: 'rmcp 3.11',
    language: 'Rust',
    registry: 'crates.io',
    packages: { rmcp: '3.11.0' },
    needs: ['cargo'],
    source: 'servers/rmcp',
    install: (folder) => cargoBuild(folder, 'servers/rmcp'),
    transports: ownTransports((folder) => join(folder, 'target/release/rmcp'), ['json', 'stateless']),
  },
];
