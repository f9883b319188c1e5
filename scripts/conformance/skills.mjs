// The scenarios for servers with skills (SEP-2640), in both eras: a server with real files directly, and through a gateway on its own
// endpoint, on that of all servers, and there beside a second server with the same skills, which does not read directories.
import { join } from 'node:path';
import { startGateway, startServer } from './processes.mjs';
import { at, LEGACY, MODERN, NEW, readChecks, runSuite } from './suites.mjs';

const FILE = at('test/fixtures/servers/skills.mjs');
const SCENARIOS = ['enumeration', 'manifest', 'directory'].map((part) => `sep-2640-skills-${part}`);
/** A warning about one server with two skills of one name. Two servers may each have one: the URIs tell them apart. */
const SAME_NAMES = 'sep-2640-names-should-be-unique';

/** {revision: [{title, found}]} with scenario -> what is wrong. */
export async function runSkills(folder) {
  const serve = (name, ...args) =>
    startServer({ command: process.execPath, args: [FILE, ...args] }, join(folder, `${name}.log`));
  const [reading, other] = await Promise.all([serve('skills', '--directories'), serve('skills-other')]);
  const shop = { name: 'shop', url: reading.url };
  const [alone, beside] = await Promise.all([
    startGateway([shop], join(folder, 'gateway-skills.log')),
    // Its name is the first: the suite takes the first skill that is listed.
    startGateway([{ name: 'other', url: other.url }, shop], join(folder, 'gateway-skills-beside.log')),
  ]);
  const ways = [
    ['direct', reading.url],
    ['`/servers/<name>/mcp`', alone.urlOf('shop')],
    ['`/mcp`', alone.url],
    ['`/mcp` of two servers', beside.url, [SAME_NAMES]],
  ];
  const run = async (revision, index, [title, url, excused]) => {
    const found = await Promise.all(
      SCENARIOS.map(async (scenario) => {
        const output = join(folder, `skills-${revision}-${index}-${scenario}`);
        const server = ['server', '--url', url, '--scenario', scenario];
        // Extensions belong to no revision, and run in each.
        await runSuite(NEW, [...server, '--spec-version', revision, '--force'], output);
        return [...readChecks(output, [scenario], excused)];
      }),
    );
    return { title, found: new Map(found.flat()) };
  };
  const inEra = (revision) => Promise.all(ways.map((way, index) => run(revision, index, way)));
  try {
    const [modern, legacy] = await Promise.all([inEra(MODERN), inEra(LEGACY)]);
    return { [MODERN]: modern, [LEGACY]: legacy };
  } finally {
    await alone.close();
    await beside.close();
    reading.stop();
    other.stop();
  }
}
