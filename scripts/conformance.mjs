// `npm run conformance`: the official suites through `/servers/<name>/mcp` of a gateway, with servers on the SDKs of three
// languages and with the fixtures behind it, its client scenarios with a gateway in the middle, and its scenarios for
// authorization servers against a gateway that signs people in, and those for servers with skills; then clients on the Python SDK
// of a fleet, and of a gateway that holds their calls. Writes docs/conformance.md and fails unless every scenario is clean: every check a success, no failure, no warning; with the
// servers on SDKs, or else exactly what the same server gives straight.
//
//   node scripts/conformance.mjs [--auth | --sign-in | --skills | --fleet | --approvals] [--keep DIR]
//     --auth        the client scenarios with authorization alone, and their section of the report
//     --sign-in     the scenarios for authorization servers alone, and their section
//     --skills      the scenarios for servers with skills alone, and their section
//     --fleet       the client of a fleet alone, and its section
//     --approvals   the clients whose calls are held alone, and their section
//     --keep DIR    DIR gets what the suites and the servers wrote
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { format, resolveConfig } from 'prettier';
import { runApprovals } from './conformance/approvals.mjs';
import { runAuthorizationServer } from './conformance/authorization-server.mjs';
import { runFleet } from './conformance/fleet.mjs';
import { runFixtures } from './conformance/fixtures.mjs';
import {
  approvalsReportOf,
  authReportOf,
  fleetReportOf,
  reportOf,
  signInReportOf,
  skillsReportOf,
  withSection,
} from './conformance/report.mjs';
import { runSdks } from './conformance/sdks.mjs';
import { runSkills } from './conformance/skills.mjs';
import { at, LEGACY, MODERN, runAuthScenarios, runClientScenarios } from './conformance/suites.mjs';
import { preparePython, prepareToolchains } from './conformance/toolchains.mjs';

const REPORT = at('docs/conformance.md');
const keepAt = process.argv.indexOf('--keep');
const kept = keepAt > 0 ? resolve(process.argv[keepAt + 1]) : undefined;
const folder = kept ?? mkdtempSync(join(tmpdir(), 'mcpstead-conformance-'));
mkdirSync(folder, { recursive: true });

async function runAll() {
  const toolchains = await prepareToolchains();
  const [sdks, fixtures, modern, legacy, auth, signIn] = await Promise.all([
    runSdks(toolchains, folder),
    runFixtures(folder),
    runClientScenarios(MODERN, folder),
    runClientScenarios(LEGACY, folder),
    runAuthScenarios(folder),
    runAuthorizationServer(folder),
  ]);
  // The suites wait for messages by the clock: no more of them at a time than there were.
  const skills = await runSkills(folder);
  const fleet = await runFleet(folder, toolchains);
  const approvals = await runApprovals(folder, toolchains);
  const clients = { [MODERN]: modern, [LEGACY]: legacy };
  return reportOf({ sdks, fixtures, clients, auth, signIn, skills, fleet, approvals });
}

/** Runs a part, and puts its section in the place of the one in the report. */
async function runPart(run, report) {
  const { text, ...more } = report(await run(folder));
  return { text: withSection(readFileSync(REPORT, 'utf8'), text), ...more };
}

function runAsked() {
  if (process.argv.includes('--auth')) return runPart(runAuthScenarios, authReportOf);
  if (process.argv.includes('--sign-in')) return runPart(runAuthorizationServer, signInReportOf);
  if (process.argv.includes('--skills')) return runPart(runSkills, skillsReportOf);
  if (process.argv.includes('--fleet'))
    return runPart(async () => runFleet(folder, await preparePython()), fleetReportOf);
  if (process.argv.includes('--approvals'))
    return runPart(async () => runApprovals(folder, await preparePython()), approvalsReportOf);
  return runAll();
}

try {
  // Where the gateways keep lists: no run sees those of another.
  process.env.CACHE_DIRECTORY = join(folder, 'cache');
  const { text, counts, problems } = await runAsked();
  writeFileSync(REPORT, await format(text, { ...(await resolveConfig(REPORT)), filepath: REPORT }));
  for (const problem of problems) console.error(problem);
  for (const [title, count] of counts) console.log(`${title}: ${count}`);
  process.exitCode = problems.length > 0 ? 1 : 0;
} catch (error) {
  console.error(error.stderr || error.message);
  process.exitCode = 1;
} finally {
  if (kept === undefined) rmSync(folder, { recursive: true, force: true });
  else console.log(`what the suites wrote is in ${folder}`);
}
// What failed may have left suites and servers at work.
process.exit();
