// Tables and counts of what the suites found, and the list of what is wrong.
import { isAsStraight } from './sdks.mjs';
import { LEGACY, MODERN, NEW, NOTHING, OLD, requirements, versionOf } from './suites.mjs';
import { PYTHON_SDK, PYTHON_SDK_1 } from './toolchains.mjs';

const WAYS = { straight: 'direct', http: 'over HTTP', stdio: 'over stdio' };
const isClean = (wrong) => wrong === NOTHING || wrong.length === 0;

function tableOf(columns, rows) {
  const line = (cells) => `| ${cells.join(' | ')} |`;
  return [line(columns), line(columns.map(() => '---')), ...rows.map(line)].join('\n');
}

/** Scenarios down, servers across. */
function scenarioTable(scenarios, columns) {
  return tableOf(
    ['scenario', ...columns.map(({ title }) => title)],
    scenarios.map((scenario) => [scenario, ...columns.map(({ found }) => cellOf(found.get(scenario)))]),
  );
}

function cellOf(wrong) {
  if (wrong === NOTHING) return 'checks nothing yet';
  return isClean(wrong) ? 'clean' : '**not clean**';
}

function countOf(scenarios, columns) {
  const all = columns
    .flatMap(({ found }) => scenarios.map((name) => found.get(name)))
    .filter((wrong) => wrong !== NOTHING);
  return `${all.filter(isClean).length} of ${all.length} clean`;
}

/** What a server gives straight beside what it gives through the gateway, in numbers. */
function sdkCounts(revision, rows) {
  const { required, more } = requirements[revision].server;
  const count = (found, names) =>
    `${names.filter((name) => isClean(found.get(name))).length} of ${names.length}`;
  const cells = (names, row) => Object.keys(WAYS).map((way) => count(row[way], names));
  return tableOf(
    ['server', ...Object.values(WAYS), ...Object.values(WAYS).map((way) => `besides, ${way}`)],
    rows.map((row) => [row.title, ...cells(required, row), ...cells(more, row)]),
  );
}

const checksOf = (wrong) => {
  if (wrong === NOTHING) return 'checks nothing';
  return wrong.length === 0 ? 'clean' : [...new Set(wrong.map(({ check }) => check))].join(', ');
};

/** The scenarios in which a server alone is not clean, or the gateway is not. */
function sdkScenarios(rows) {
  const lines = rows.flatMap(({ title, straight, http, stdio }) =>
    [...straight].flatMap(([scenario, wrong]) => {
      const cell = (through) => {
        if (!isAsStraight(through, wrong)) return `**${checksOf(through)}**`;
        return isClean(through) ? checksOf(through) : 'as direct';
      };
      if ([wrong, http.get(scenario), stdio.get(scenario)].every(isClean)) return [];
      return [[title, scenario, checksOf(wrong), cell(http.get(scenario)), cell(stdio.get(scenario))]];
    }),
  );
  // All SDKs leave the tasks to their users: the same ten lines for each say nothing.
  const others = lines.filter(([, scenario]) => !scenario.startsWith('tasks-'));
  return { lines: others, tasks: lines.length - others.length };
}

const problem = (title, scenario, { check, message }) =>
  `- ${title}, ${scenario}: ${check}: ${message.replaceAll('\n', ' ')}`;
function problemsOf(title, columns) {
  return columns.flatMap(({ title: way, found }) =>
    [...found].flatMap(([scenario, wrong]) =>
      isClean(wrong)
        ? []
        : wrong.map((each) => problem(way ? `${title} over ${way}` : title, scenario, each)),
    ),
  );
}
function sdkProblems(rows) {
  return rows.flatMap(({ title, revision, straight, http, stdio }) =>
    Object.entries({ http, stdio }).flatMap(([way, found]) =>
      [...found].flatMap(([scenario, wrong]) =>
        isAsStraight(wrong, straight.get(scenario))
          ? []
          : wrong.map((each) =>
              problem(`${title}, ${revision} through the gateway ${WAYS[way]}`, scenario, each),
            ),
      ),
    ),
  );
}

function sdkSection(revision, rows) {
  const { lines, tasks } = sdkScenarios(rows);
  const columns = ['server', 'scenario', 'direct', 'through the gateway, HTTP', 'through the gateway, stdio'];
  const rest =
    tasks > 0 ? `, and in addition ${tasks} with tasks, which these SDKs do not implement themselves` : '';
  return `### ${revision}

${sdkCounts(revision, rows)}

Not clean, directly or through the gateway${rest}:

${lines.length > 0 ? tableOf(columns, lines) : 'none.'}`;
}

const fixtureTables = (revision, columns) => {
  const { required, more } = requirements[revision].server;
  return `The scenarios that suite ${versionOf(NEW)} requires, through \`/servers/<name>/mcp\`: ${countOf(required, columns)}.

${scenarioTable(required, columns)}

Run in addition, not required: ${countOf(more, columns)}.

${scenarioTable(more, columns)}`;
};

const AUTH_TITLE = '## Servers that want a login';

/** {text, counts, problems} of the scenarios with authorization: a section of the report. */
export function authReportOf(found) {
  const columns = [MODERN, LEGACY].map((revision) => ({ title: revision, found: found[revision] }));
  const scenarios = [...new Set(columns.flatMap(({ found: each }) => [...each.keys()]))];
  const countIn = ({ found: each }) => countOf([...each.keys()], [{ found: each }]);
  const rows = scenarios.map((name) => [
    name,
    ...columns.map(({ found: each }) => (each.has(name) ? cellOf(each.get(name)) : '-')),
  ]);
  const problems = columns.flatMap((column) =>
    problemsOf(`client of ${column.title}`, [{ found: column.found }]),
  );
  const text = `${AUTH_TITLE}

The client scenarios with authorization. The scenario's server and its authorization server are behind a gateway without state, which is
logged in to the server by the admin API; a client without authorization lists and calls through \`/servers/<name>/mcp\`: SDK v2 pinned
to ${MODERN}, ${countIn(columns[0])}; SDK v1 for ${LEGACY}, ${countIn(columns[1])}. \`npm run conformance -- --auth\` runs these alone. The
scenarios with DPoP are not among them: the gateway does not bind tokens to a key.

${tableOf(['scenario', ...columns.map(({ title }) => title)], rows)}
`;
  const counts = columns.map((column) => [`servers that want a login, ${column.title}`, countIn(column)]);
  return { text, counts, problems };
}

/** {text, counts, problems} of the scenarios for authorization servers: a section of the report. */
export function signInReportOf(found) {
  const columns = [{ title: 'result', found }];
  const scenarios = [...found.keys()];
  const count = countOf(scenarios, columns);
  const text = `## Sign-in at the gateway

The command \`authorization\` of suite ${versionOf(NEW)} against a gateway with \`mcp.auth.login\`, whose identity provider is oidc-provider:
${count}. A client registers itself with a loopback redirect URI; a person consents and signs in. \`npm run conformance -- --sign-in\` runs
these alone.

${scenarioTable(scenarios, columns)}
`;
  return { text, counts: [['sign-in at the gateway', count]], problems: problemsOf('sign-in', columns) };
}

/** {text, counts, problems} of the scenarios for servers with skills: a section of the report. */
export function skillsReportOf(found) {
  const revisions = [MODERN, LEGACY];
  const all = revisions.flatMap((revision) => found[revision]);
  const scenarios = [...all[0].found.keys()];
  const count = countOf(scenarios, all);
  const rows = scenarios.flatMap((scenario) =>
    revisions.map((revision) => [
      scenario,
      revision,
      ...found[revision].map((column) => cellOf(column.found.get(scenario))),
    ]),
  );
  const text = `## Servers with skills

The scenarios of suite ${versionOf(NEW)} for SEP-2640 against \`test/fixtures/servers/skills.mjs\`, a server of both eras with real files:
${count}. The second server has the same skills, and reads no directories: the gateway does. There the warning
\`sep-2640-names-should-be-unique\` does not count, as each server has each name once. \`npm run conformance -- --skills\` runs these alone.

${tableOf(['scenario', 'client', ...found[MODERN].map(({ title }) => title)], rows)}
`;
  const problems = revisions.flatMap((revision) => problemsOf(`skills, ${revision}`, found[revision]));
  return { text, counts: [['servers with skills', count]], problems };
}

/** {text, counts, problems} of a client on the Python SDK of a fleet: a section of the report. */
export function fleetReportOf(found) {
  const columns = [LEGACY, MODERN].map((revision) => ({ title: revision, found: found[revision] }));
  const steps = [...new Set(columns.flatMap((column) => [...column.found.keys()]))];
  const all = columns.flatMap((column) => [...column.found.values()]);
  const count = `${all.filter(isClean).length} of ${all.length} clean`;
  const rows = steps.map((step) => [
    step,
    ...columns.map((column) => (column.found.has(step) ? cellOf(column.found.get(step)) : '-')),
  ]);
  const text = `## Clients of a fleet

A client on the Python SDK ${PYTHON_SDK}, \`test/fixtures/clients/fleet.py\`, of a fleet of three replicas behind a proxy that sends each of its
requests to the next one, in both eras: ${count}. ${MODERN} has no sessions, server streams and streams to resume.
\`npm run conformance -- --fleet\` runs it alone.

${tableOf(['the client', ...columns.map(({ title }) => title)], rows)}
`;
  const problems = columns.flatMap((column) =>
    problemsOf(`client of a fleet, ${column.title}`, [{ found: column.found }]),
  );
  return { text, counts: [['clients of a fleet', count]], problems };
}

/** The same of clients on the Python SDKs whose calls wait for a yes. */
export function approvalsReportOf(columns) {
  const steps = [...new Set(columns.flatMap((column) => [...column.found.keys()]))];
  const all = columns.flatMap((column) => [...column.found.values()]);
  const count = `${all.filter(isClean).length} of ${all.length} clean`;
  const rows = steps.map((step) => [
    step,
    ...columns.map(({ found }) => (found.has(step) ? cellOf(found.get(step)) : '-')),
  ]);
  const text = `## Clients whose calls wait for a yes

A client on the Python SDKs ${PYTHON_SDK_1} and ${PYTHON_SDK}, \`test/fixtures/clients/approvals.py\`, of a gateway with a rule that
[holds](approvals.md) its calls until their user has said yes: ${count}. \`npm run conformance -- --approvals\` runs it alone.

${tableOf(['the client', ...columns.map(({ title }) => title)], rows)}
`;
  const problems = columns.flatMap(({ title, found }) =>
    problemsOf(`client whose calls wait for a yes, ${title}`, [{ found }]),
  );
  return { text, counts: [['clients whose calls wait for a yes', count]], problems };
}

/** The report with another text of one of its sections. */
export function withSection(report, section) {
  const start = report.indexOf(section.slice(0, section.indexOf('\n')));
  if (start < 0) return `${report.trimEnd()}\n\n${section}`;
  const next = report.indexOf('\n## ', start + 1);
  return report.slice(0, start) + section + (next < 0 ? '' : report.slice(next));
}

/** {text, counts, problems} of {sdks, fixtures, clients, auth, signIn, skills, fleet, approvals}. */
export function reportOf({ sdks, fixtures, clients, auth, signIn, skills, fleet, approvals }) {
  const { modern, legacy, oldest } = fixtures;
  const logins = authReportOf(auth);
  const signIns = signInReportOf(signIn);
  const skilled = skillsReportOf(skills);
  const fleets = fleetReportOf(fleet);
  const holds = approvalsReportOf(approvals);
  const old = [...oldest[0].found.keys()];
  const sdksOf = (revision) => sdks.filter((row) => row.revision === revision);
  const client = (revision) => {
    const columns = [{ title: 'through the gateway', found: clients[revision] }];
    const scenarios = [...clients[revision].keys()];
    return { table: scenarioTable(scenarios, columns), count: countOf(scenarios, columns) };
  };
  const problems = [
    ...sdkProblems(sdks),
    ...problemsOf(MODERN, modern),
    ...problemsOf(LEGACY, legacy),
    ...problemsOf('2025-06-18', oldest),
    ...[MODERN, LEGACY].flatMap((revision) =>
      problemsOf(`client of ${revision}`, [{ found: clients[revision] }]),
    ),
    ...logins.problems,
    ...signIns.problems,
    ...skilled.problems,
    ...fleets.problems,
    ...holds.problems,
  ];
  const sdkCount = (revision, names) => {
    const ways = sdksOf(revision).flatMap(({ http, stdio, straight }) =>
      [http, stdio].map((found) => ({ found, straight })),
    );
    const same = ways.flatMap(({ found, straight }) =>
      names.filter((name) => !isClean(found.get(name)) && isAsStraight(found.get(name), straight.get(name))),
    );
    return countOf(names, ways) + (same.length > 0 ? `, ${same.length} as direct` : '');
  };
  const counts = [
    ...[MODERN, LEGACY].map((revision) => [
      `servers on SDKs, ${revision}, required`,
      sdkCount(revision, requirements[revision].server.required),
    ]),
    ...[
      [MODERN, modern],
      [LEGACY, legacy],
    ].flatMap(([revision, columns]) => [
      [`servers of ${revision}`, countOf(requirements[revision].server.required, columns)],
      [`servers of ${revision}, not required`, countOf(requirements[revision].server.more, columns)],
    ]),
    ['servers of 2025-06-18', countOf(old, oldest)],
    ...[MODERN, LEGACY].map((revision) => [`clients of ${revision}`, client(revision).count]),
    ...logins.counts,
    ...signIns.counts,
    ...skilled.counts,
    ...fleets.counts,
    ...holds.counts,
  ];
  const text = `# Conformance

Generated by \`npm run conformance\`, which runs the official suite, \`@modelcontextprotocol/conformance\`, against a gateway. A scenario
is clean if every check in it succeeded, without failures and warnings.

## Servers of both eras on the SDKs

These are servers on the SDKs of three languages, with the features of their SDKs: \`test/fixtures/servers/both.mjs\`,
\`test/fixtures/servers/conformance.py\` and the server in the Go SDK's module. Both lists of suite ${versionOf(NEW)} run against each
server directly, and through \`/servers/<name>/mcp\` of a gateway with the default configuration, over HTTP and over stdio with
\`session: per-client\`. The run fails unless the gateway is clean or has exactly the results of a direct connection. Direct runs use
HTTP, the only transport of the suite. "Besides" marks scenarios that the list runs but does not require.

Two warnings do not count through the gateway. \`server-sse-retry-field\` over stdio: \`retry\` applies to streams that the server closes, and
stdio has none. \`sep-2575-server-sends-tools-list-changed-on-subscription\` for the Go server: its tool adds the same tool again and
reports a changed list, but the gateway notifies its clients only of real changes. \`server-sse-polling\` checks nothing if the answer is
JSON, as the gateway's answers within \`http.stream_after_ms\` are. Over HTTP, a Go SDK server has either sessions or the
${MODERN} era; without sessions it cannot ask ${LEGACY} clients.

${[MODERN, LEGACY].map((revision) => sdkSection(revision, sdksOf(revision))).join('\n\n')}

## Servers of ${MODERN}

In this and the next two sections, the server supports only the era of the client; the suite does not cover mixed eras, but
[eras.md](eras.md) does. The server is \`test/fixtures/servers/modern.mjs\`, over HTTP and over stdio. ${fixtureTables(MODERN, modern)}

## Servers of ${LEGACY}

The server is \`test/fixtures/servers/conformance.mjs\`, over HTTP and over stdio (one child process for all clients). A shared
child's question goes to a client only if no other client called it in the last ten seconds, so over stdio each scenario with questions
has its own server.
\`http.stream_after_ms\` is 50, for \`server-sse-polling\`. ${fixtureTables(LEGACY, legacy)}

## Servers of 2025-06-18

All scenarios of suite ${versionOf(OLD)} for this revision, with the same servers: ${countOf(old, oldest)}.

${scenarioTable(old, oldest)}

## Clients of ${MODERN}

The scenario's server is behind a gateway, and an SDK v2 client pinned to the revision uses it through
\`/servers/<name>/mcp\`. Scenarios without authorization: ${client(MODERN).count}.

${client(MODERN).table}

## Clients of ${LEGACY}

The same with an SDK v1 client: ${client(LEGACY).count}.

${client(LEGACY).table}

${logins.text}
${signIns.text}
${skilled.text}
${fleets.text}
${holds.text}${problems.length > 0 ? `\n## Not clean\n\n${problems.join('\n')}\n` : ''}`;
  return { text, counts, problems };
}
