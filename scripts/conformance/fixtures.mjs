// The fixtures, which speak one era each and offer what no SDK does: all scenarios of the suites through the gateway, over
// HTTP and over stdio.
import { join } from 'node:path';
import { startGateway, startServer } from './processes.mjs';
import {
  at,
  LEGACY,
  listOf,
  MODERN,
  NEW,
  NOT_OVER_STDIO,
  OLD,
  readChecks,
  runLists,
  runSuite,
} from './suites.mjs';

const LEGACY_FILE = at('test/fixtures/servers/conformance.mjs');
const MODERN_FILE = at('test/fixtures/servers/modern.mjs');
/** These ask the client. On a channel that clients share only who called alone lately is asked: each gets a server of its own. */
const ASKING = [
  'tools-call-sampling',
  'tools-call-elicitation',
  'elicitation-sep1034-defaults',
  'elicitation-sep1330-enums',
];
const UPSTREAMS = { http: 'HTTP', stdio: 'stdio' };
const excusedOf = (upstream) => (upstream === 'http' ? [] : [NOT_OVER_STDIO]);

/** {modern, legacy, oldest}, each [{title, found}] with scenario -> what is wrong. */
export async function runFixtures(folder) {
  const http = (file, name) =>
    startServer({ command: process.execPath, args: [file, 'http'] }, join(folder, `${name}.log`));
  const stdio = (name, file) => ({ name, command: process.execPath, args: [file, 'stdio'] });
  const [legacyHttp, modernHttp] = await Promise.all([
    http(LEGACY_FILE, 'legacy'),
    http(MODERN_FILE, 'modern'),
  ]);
  const version = ['--spec-version', '2025-06-18'];
  const oldest = listOf(OLD, ['--server', ...version]);
  const oldAsking = ASKING.filter((scenario) => oldest.includes(scenario));
  const modernGateway = await startGateway(
    [{ name: 'modern-http', url: modernHttp.url }, stdio('modern-stdio', MODERN_FILE)],
    join(folder, 'gateway-modern.log'),
  );
  const gateway = await startGateway(
    [
      { name: 'legacy-http', url: legacyHttp.url },
      stdio('legacy-stdio', LEGACY_FILE),
      // Log messages on a shared channel go to a sole caller: the other suite is at work at the same time.
      stdio(`legacy-stdio-${OLD}`, LEGACY_FILE),
      ...ASKING.map((scenario) => stdio(`${NEW}-${scenario}`, LEGACY_FILE)),
      ...oldAsking.map((scenario) => stdio(`${OLD}-${scenario}`, LEGACY_FILE)),
    ],
    join(folder, 'gateway-legacy.log'),
    // server-sse-polling looks at the stream of a call, and its tool takes a second. Not for the other era: there an error that comes late
    // loses its status to the stream.
    { http: { stream_after_ms: 50 } },
  );
  const through = (name) => ['server', '--url', gateway.urlOf(name)];

  async function apart(suite, upstream, scenarios, args) {
    if (upstream === 'http') return [];
    const each = scenarios.map(async (scenario) => {
      const name = `${suite}-${scenario}`;
      const output = join(folder, name);
      await runSuite(suite, [...through(name), '--scenario', scenario, ...args], output);
      return [...readChecks(output, [scenario], excusedOf(upstream))];
    });
    return (await Promise.all(each)).flat();
  }
  async function runLegacy(upstream) {
    const [found, own] = await Promise.all([
      runLists(
        LEGACY,
        gateway.urlOf(`legacy-${upstream}`),
        join(folder, `legacy-${upstream}`),
        excusedOf(upstream),
      ),
      apart(NEW, upstream, ASKING, ['--spec-version', LEGACY]),
    ]);
    return new Map([...found, ...own]);
  }
  async function runOldest(upstream) {
    const output = join(folder, `oldest-${upstream}`);
    const name = upstream === 'http' ? 'legacy-http' : `legacy-stdio-${OLD}`;
    const [, own] = await Promise.all([
      runSuite(OLD, [...through(name), '--suite', 'all', ...version], output),
      apart(OLD, upstream, oldAsking, version),
    ]);
    return new Map([...readChecks(output, oldest, excusedOf(upstream)), ...own]);
  }
  const runModern = (upstream) =>
    runLists(
      MODERN,
      modernGateway.urlOf(`modern-${upstream}`),
      join(folder, `modern-${upstream}`),
      excusedOf(upstream),
    );
  const each = (run) =>
    Promise.all(
      Object.entries(UPSTREAMS).map(async ([upstream, title]) => ({ title, found: await run(upstream) })),
    );
  try {
    const [modern, legacy, old] = await Promise.all([each(runModern), each(runLegacy), each(runOldest)]);
    return { modern, legacy, oldest: old };
  } finally {
    await modernGateway.close();
    await gateway.close();
    legacyHttp.stop();
    modernHttp.stop();
  }
}
