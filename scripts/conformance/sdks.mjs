// Servers of both eras on the SDKs of three languages: the lists of both eras straight, and through the gateway over HTTP
// and over stdio with `session: per-client`. The gateway gives what the server gives.
import { join } from 'node:path';
import { freePort, startGateway, startServer } from './processes.mjs';
import { at, LEGACY, MODERN, NOT_CHANGED, NOT_OVER_STDIO, NOTHING, runLists, versionOf } from './suites.mjs';
import { GO_SDK, PYTHON_SDK } from './toolchains.mjs';

const ofFile = (command, file) => ({
  http: () => ({ command, args: [at(file), 'http'] }),
  stdio: { command, args: [at(file), 'stdio'] },
});

/** name -> {title, http, stdio, revisions, known}: known are warnings that the gateway owes this server. */
const serversOf = ({ python, goServer }) => {
  const both = [LEGACY, MODERN];
  const go = (...args) => ({
    http: async () => {
      const address = `127.0.0.1:${await freePort()}`;
      return { command: goServer, args: ['-http', address, ...args], url: `http://${address}/mcp` };
    },
    stdio: { command: goServer },
    // Its tool adds the same tool each time.
    known: [NOT_CHANGED],
  });
  const title = `Go SDK ${GO_SDK}`;
  return {
    typescript: {
      title: `TypeScript SDK ${versionOf('@modelcontextprotocol/server')}`,
      ...ofFile(process.execPath, 'test/fixtures/servers/both.mjs'),
      revisions: both,
    },
    python: {
      title: `Python SDK ${PYTHON_SDK}`,
      ...ofFile(python, 'test/fixtures/servers/conformance.py'),
      revisions: both,
    },
    // Over HTTP that one has either sessions or the era of 2026-07-28.
    'go-sessions': { title: `${title}, with sessions`, ...go('-stateless=false'), revisions: [LEGACY] },
    go: { title: `${title}, without sessions`, ...go('-stateless'), revisions: both },
  };
};

/** Whether the gateway gives what it should: clean, or what the same server gives straight. */
export function isAsStraight(wrong, straight) {
  if (wrong === NOTHING || wrong.length === 0) return true;
  if (straight === NOTHING) return false;
  const checks = (list) => list.map(({ check }) => check).sort();
  return checks(wrong).join() === checks(straight).join();
}

/** [{revision, title, straight, http, stdio}], the last three as scenario -> what is wrong. */
export async function runSdks(toolchains, folder) {
  const servers = Object.entries(serversOf(toolchains));
  const started = [];
  const start = async (name, way, command) => {
    const server = await startServer(command, join(folder, `${name}-${way}.log`));
    started.push(server);
    return server.url;
  };
  // One of its own for each way: what a suite changes at a server, another would hear of.
  const startBoth = async ([name, { http }]) => [
    name,
    {
      straight: await start(name, 'straight', await http()),
      behind: await start(name, 'behind', await http()),
    },
  ];
  let gateway;
  try {
    const urls = Object.fromEntries(await Promise.all(servers.map(startBoth)));
    const upstreams = servers.flatMap(([name, { stdio }]) => [
      { name: `${name}-http`, url: urls[name].behind },
      { name: `${name}-stdio`, ...stdio, session: 'per-client' },
    ]);
    gateway = await startGateway(upstreams, join(folder, 'gateway-sdks.log'));
    const rows = servers.flatMap(([name, { title, revisions, known = [] }]) =>
      revisions.map((revision) => ({ name, title, revision, known })),
    );
    const run = async (row, way, url, excused) => {
      row[way] = await runLists(
        row.revision,
        url,
        join(folder, `${row.name}-${row.revision}-${way}`),
        excused,
      );
    };
    // What takes longest is first: each client has a child of its own.
    await Promise.all([
      ...rows.map((row) =>
        run(row, 'stdio', gateway.urlOf(`${row.name}-stdio`), [...row.known, NOT_OVER_STDIO]),
      ),
      ...rows.map((row) => run(row, 'http', gateway.urlOf(`${row.name}-http`), row.known)),
      ...rows.map((row) => run(row, 'straight', urls[row.name].straight)),
    ]);
    return rows;
  } finally {
    await gateway?.close();
    for (const { stop } of started) stop();
  }
}
