// Writes docs/compatibility.md from what was run.
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { format, resolveConfig } from 'prettier';
import { reasons } from './reasons.mjs';

const REPORT = fileURLToPath(new URL('../docs/compatibility.md', import.meta.url));
const PACKAGE = fileURLToPath(new URL('../package.json', import.meta.url));

const cell = (text) => String(text).replaceAll('|', '\\|').replaceAll('\n', ' ');
const table = (head, rows) =>
  [head, head.map(() => '---'), ...rows].map((row) => `| ${row.map(cell).join(' | ')} |`).join('\n');

const packagesOf = ({ packages }) =>
  Object.entries(packages)
    .map(([name, version]) => `${name} ${version}`)
    .join(', ');

function softwareTable(kind, entries, last) {
  const rows = entries.map((entry) => [
    entry.name,
    entry.language,
    `${packagesOf(entry)} (${entry.registry})`,
    last(entry),
  ]);
  return table([kind, 'language', 'packages', kind === 'server' ? 'transports' : 'eras'], rows);
}

const ERAS = { own: 'the one it chooses' };

/** What stands in the matrix: the numbers are those of the reasons. */
function verdictOf(result, numberOf) {
  if (result === undefined) return '';
  if (result.unsupported !== undefined) return '-';
  if (result.open.length > 0) return '**differs**';
  const numbers = (list) =>
    list
      .map(numberOf)
      .sort((a, b) => a - b)
      .join(', ');
  const own = (wanted) => numbers(result.onItsOwn.filter(({ verdict }) => verdict === wanted));
  const parts = ['differs', 'better'].flatMap((wanted) => (own(wanted) ? [`${wanted} ${own(wanted)}`] : []));
  if (parts.length === 0) parts.push('same');
  const elsewhere = numbers(result.reasons.filter((reason) => !result.onItsOwn.includes(reason)));
  if (elsewhere) parts.push(`/mcp: ${elsewhere}`);
  const verdict = parts.join('; ');
  return result.failed === undefined ? verdict : `${verdict} (fails straight)`;
}

export async function writeReport({ columns, results, notRun, servers, clients }) {
  const used = new Set(results.flatMap((result) => result.reasons ?? []));
  const listed = reasons.filter((reason) => used.has(reason));
  const numberOf = (reason) => listed.indexOf(reason) + 1;
  const at = new Map(results.map((result) => [`${result.title}\n${result.column}`, result]));
  const verdict = (setup, column) => verdictOf(at.get(`${setup}\n${column}`), numberOf);
  const ran = results.filter(({ unsupported }) => unsupported === undefined);
  const open = ran.filter((one) => one.open.length > 0);
  const same = ran.filter((one) => one.open.length === 0 && one.reasons.length === 0).length;
  const better = ran.filter(
    (one) =>
      one.open.length === 0 && one.reasons.length > 0 && one.reasons.every((r) => r.verdict === 'better'),
  ).length;
  const differ = ran.length - open.length - same - better;
  const ownSame = ran.filter((one) => one.open.length === 0 && one.onItsOwn.length === 0).length;
  const ownBetter = ran.filter(
    (one) =>
      one.open.length === 0 && one.onItsOwn.length > 0 && one.onItsOwn.every((r) => r.verdict === 'better'),
  ).length;
  const questions = ran.reduce((sum, one) => sum + one.questions, 0);
  const { version } = JSON.parse(readFileSync(PACKAGE, 'utf8'));
  const matrix = (list) => {
    const cols = columns.filter((column) => list.some((setup) => at.has(`${setup}\n${column}`)));
    return table(
      ['client', ...list],
      cols.map((column) => [column, ...list.map((setup) => verdict(setup, column))]),
    );
  };
  const byServer = servers.map(({ name, transports }) => transports.map((one) => `${name}, ${one.name}`));
  const notRunList = [...notRun].map(([name, why]) => `- ${name}: ${why}`);
  const openList = open.flatMap(({ title, column, open: list }) =>
    list.map((one) => `- ${title}, ${column}, ${one.way}: ${one.step} ${one.path}`),
  );

  const report = `# Compatibility

Written by \`npm run compat\`: real servers and real clients, installed by name and version from their registries, each with
mcpstead ${version} between them. Each pair runs the same script straight and through the gateway: \`initialize\` or \`server/discover\`,
all lists, calls of each kind (text, structured, image, error, progress, log messages), wrong calls, resources, templates, prompts,
completion, subscriptions, log level, ping, a cancelled call, and questions (elicitation, sampling, roots), which the client answers.
Then the configuration is reloaded, unchanged and with a change of the server's entry, and the server is killed and started again,
while the session of the client goes on. What the client shows of each step is compared, with all its notifications; what differs
between two straight runs is left out.

Through the gateway a pair runs on \`/servers/<name>/mcp\` and on \`/mcp\`, stdio servers for one client also under
\`mcpstead stdio --config\`. On \`/mcp\` and over stdio the client connects to the gateway, not to the server: there the names, instructions and
capabilities of \`initialize\` are the gateway's and are not compared, and the prefix of the server's name is taken off before comparing. Stdio servers have
\`session: per-client\`. Beside each pair a second client is connected to the gateway, which must be told and asked nothing. That lists
may have changed is not compared.

${ran.length} pairs: ${same} same, ${better} better, ${differ} differ for the reasons below, ${open.length} without a reason. On
\`/servers/<name>/mcp\` alone: ${ownSame} same, ${ownBetter} better. ${questions} questions reached the
client that had to answer them, none another one.

## What was run

${softwareTable('server', servers, ({ transports }) => transports.map(({ name }) => name).join(', '))}

${softwareTable('client', clients, ({ eras }) => eras.map((era) => ERAS[era] ?? era).join(', '))}

legacy: the revisions up to 2025-11-25; modern: 2026-07-28.
${notRunList.length > 0 ? `\nNot run:\n\n${notRunList.join('\n')}\n` : ''}
## Pairs

same: no difference at all on \`/servers/<name>/mcp\`. better, differs: with the number of the reason, below; after /mcp stand the reasons of
what differs only there, or under \`mcpstead stdio\`. An empty cell was not run; -: the client has no such era or transport. Each server is run with two
clients, its transports beside stdio and plain HTTP with one; each client with five servers.

${byServer.map((list) => matrix(list)).join('\n\n')}

## Reasons

${listed.map((reason, index) => `${index + 1}. ${reason.text} (${reason.source})`).join('\n')}
${openList.length > 0 ? `\n## Without a reason\n\n${openList.join('\n')}\n` : ''}`;
  writeFileSync(REPORT, await format(report, { ...(await resolveConfig(REPORT)), filepath: REPORT }));
}
