// Writes docs/comparison.md from what a run found. Nothing here knows which gateway is whose, but for OWN, whose losses come first.
import { CASES } from './cases.mjs';

export const OWN = 'mcpstead';
const median = (numbers) => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)];
const middle = (value) => {
  if (!Array.isArray(value)) return value;
  return value.length > 0 ? median(value) : undefined;
};

/** The figures: what to read, its title, and how to write it. Less is better in each. */
const microseconds = (value) =>
  (value < 10_000 ? Math.round(value) : Math.round(value / 100) * 100).toLocaleString('en');
const round = (value) => Math.round(value).toLocaleString('en');
export const FIGURES = [
  ...CASES.map((key) => ({ key, title: key, unit: 'us CPU', write: microseconds })),
  { key: 'start', title: 'start to the first list', unit: 'ms CPU', write: round },
  { key: 'idle', title: 'memory, idle', unit: 'MB', write: round },
  { key: 'busy', title: 'memory, under load', unit: 'MB', write: round },
];

const KINDS = { http: 'a server over HTTP', stdio: 'a server over stdio' };
export const WORDS = { yes: 'yes', partly: 'partly', no: '**no**', none: '-', untried: '?' };
const SCORE = { yes: 2, partly: 1, no: 0 };
/** The row of the reference server without a gateway. */
export const STRAIGHT = 'the server itself';
const ERAS = ['2025-11-25', '2026-07-28'];

/** Text of others as text: no markup in it. */
const plain = (text) => text.replaceAll(/[<*_[\]]/g, '\\$&');

export function tableOf(head, rows) {
  const cell = (value) =>
    String(value ?? '')
      .replaceAll('|', '\\|')
      .replaceAll('\n', ' ');
  const line = (cells) => `| ${cells.map(cell).join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

/** [{what, name, own, other}] where another gateway needs less: each figure of each table. */
export function cheaper(tables) {
  return tables.flatMap(({ kind, figures }) =>
    FIGURES.flatMap(({ key, title, unit, write }) => {
      const own = middle(figures[OWN]?.[key]);
      if (own === undefined) return [];
      return Object.entries(figures).flatMap(([name, values]) => {
        const other = middle(values[key]);
        if (name === OWN || other === undefined || other >= own) return [];
        return [
          {
            what: `${title}, ${KINDS[kind]}`,
            name,
            unit,
            own: write(own),
            other: write(other),
            ratio: own / other,
          },
        ];
      });
    }),
  );
}

/** [{title, name, own, other}] where another gateway does what OWN does not, or not whole. */
export function doing(behaviours) {
  return Object.entries(behaviours[OWN] ?? {}).flatMap(([title, own]) =>
    Object.entries(behaviours).flatMap(([name, all]) => {
      const other = all[title];
      if (name === OWN || !other || !((SCORE[other.verdict] ?? -1) > (SCORE[own.verdict] ?? 2))) return [];
      return [{ title, name, own, other }];
    }),
  );
}

/** Those with more clean scenarios than OWN. */
export function cleaner(official) {
  const own = official[OWN];
  if (!own) return [];
  return Object.entries(official).flatMap(([name, row]) =>
    ERAS.filter((era) => name !== OWN && name !== STRAIGHT && row[era]?.clean > own[era]?.clean).map(
      (era) => ({
        name,
        era,
        own: own[era].clean,
        other: row[era].clean,
      }),
    ),
  );
}

function better({ tables, behaviours, official }) {
  const lines = [];
  for (const { what, name, unit, own, other, ratio } of cheaper(tables))
    lines.push(
      `- ${what}: ${name} ${other} ${unit}, ${OWN} ${own} (${ratio.toFixed(ratio < 10 ? 1 : 0)} times as much).`,
    );
  for (const { title, name, own, other } of doing(behaviours))
    lines.push(
      `- ${title}: ${name} ${other.verdict} (${plain(other.seen)}), ${OWN} ${own.verdict} (${plain(own.seen)}).`,
    );
  for (const { name, era, own, other } of cleaner(official))
    lines.push(`- Official list of ${era}: ${name} ${other} clean scenarios, ${OWN} ${own}.`);
  return lines.length > 0 ? lines.join('\n') : `In no figure and no behaviour of this run.`;
}

function figureTable({ kind, figures }) {
  const names = Object.keys(figures);
  const rows = FIGURES.map(({ key, title, unit, write }) => [
    `${title} (${unit})`,
    ...names.map((name) => {
      const value = middle(figures[name][key]);
      return value === undefined ? '' : write(value);
    }),
  ]);
  return `### In front of ${KINDS[kind]}\n\n${tableOf(['', ...names], rows)}`;
}

function behaviourTables(behaviours) {
  const names = Object.keys(behaviours);
  const titles = Object.keys(behaviours[names[0]]);
  const rows = titles.map((title) => [
    title,
    ...names.map((name) => WORDS[behaviours[name][title]?.verdict] ?? ''),
  ]);
  const seen = titles.flatMap((title) => {
    const lines = names.flatMap((name) => {
      const { verdict, seen: what } = behaviours[name][title];
      const isPlain = verdict === 'yes' || (verdict === 'none' && name !== OWN && what.startsWith('it '));
      return isPlain ? [] : [`- ${name}: ${WORDS[verdict]}, ${plain(what)}`];
    });
    return lines.length > 0 ? [`#### ${title}\n\n${lines.join('\n')}`] : [];
  });
  return [
    tableOf(['', ...names], rows),
    '`-`: the gateway has no such thing. `?`: could not be tried. What was seen where it is not a yes:',
    ...seen,
  ].join('\n\n');
}

function officialTable(official) {
  const cell = (count) => {
    if (!count) return '';
    const nothing = count.unchecked > 0 ? `, ${count.unchecked} with nothing to check` : '';
    return `${count.clean} of ${count.all}${nothing}`;
  };
  const rows = Object.entries(official).map(([name, row]) => [
    name,
    row.kind === 'http' ? 'HTTP' : 'stdio',
    `\`${row.path}\``,
    ...ERAS.map((era) => cell(row[era])),
  ]);
  const missing = [STRAIGHT, OWN].flatMap((name) =>
    ERAS.filter((era) => official[name]?.[era]?.wrong.length > 0).map(
      (era) => `- ${name}, ${era}: ${official[name][era].wrong.map((each) => `\`${each}\``).join(', ')}`,
    ),
  );
  const table = tableOf(['', 'server over', 'path', ...ERAS], rows);
  return missing.length > 0 ? `${table}\n\nNot clean:\n\n${missing.join('\n')}` : table;
}

function howStarted({ name, title, version, source, line, env, files }) {
  const set = Object.entries(env).map(([key, value]) => `${key}=${value} \\\n`);
  const parts = [`#### ${name}`, `${title}${version ? ` ${version}` : ''}. ${source}.`];
  parts.push(`\`\`\`text\n${set.join('')}${line}\n\`\`\``);
  for (const [file, text] of Object.entries(files)) parts.push(`\`${file}\`:\n\n\`\`\`text\n${text}\n\`\`\``);
  return parts.join('\n\n');
}

function notRunTable({ notRun, problems }) {
  const rows = [
    ...notRun.map(({ name, why }) => [name, 'all', why]),
    ...problems.map(({ name, what, why }) => [name, what, plain(why)]),
  ];
  return rows.length > 0 ? tableOf(['gateway', 'what', 'why'], rows) : 'Nothing.';
}

/** The page, before prettier. */
export function pageOf(run) {
  const { date, machine, options, gateways } = run;
  const versions = gateways.map(({ name, title, version, registry }) => [
    name,
    title,
    version ?? '',
    registry ?? '',
  ]);
  const rounds = `${options.rounds} interleaved round${options.rounds > 1 ? 's' : ''} of ${options.seconds} s after ${options.warm} s of warm-up`;
  return [
    '# Comparison',
    `Written by \`npm run compare\` on ${date}. It installs other gateways by name and version from their registries, configures each as its own
documentation says, and does the same with each: the same figures, the same behaviours, the same official lists. ${machine}.`,
    '## Where others are better',
    'Computed from the tables below: each figure in which another gateway needs less, and each behaviour and list in which it does more.',
    better(run),
    '## What was compared',
    tableOf(['', 'gateway', 'version', 'registry'], versions),
    '## Figures',
    `CPU time of the gateway and of the processes that it started, without the MCP servers, per call, in microseconds; ${rounds}, 8
connections in one session, the median of the rounds. The machine does other work at the same time: CPU time is what a gateway needs, and the
time of the clock is not used. Memory is the resident memory of the same processes: after the first list of 1,000 tools, and the highest
during calls of 100 KB. Logins are off where a gateway can do without. Less is better. With so few
calls, programs that compile while they run cost more a call than after a longer time: [bench/REPORT.md](../bench/REPORT.md) has more load.`,
    ...run.tables.map(figureTable),
    '## Behaviours',
    `Each is one script, the same for every gateway, with the same server behind it, on the official SDK: over HTTP where the gateway can, else
over stdio.`,
    behaviourTables(run.behaviours),
    '## Official lists',
    `Scenarios of the official conformance suite that are clean, for each revision, in front of one server for both
(\`test/fixtures/servers/both.mjs\`). The first row is that server without a gateway. The suite calls tools by their own names: a gateway
that has a path for one server without prefixes is tried there, and one that has none fails what needs a tool.`,
    officialTable(run.official),
    '## What could not be run',
    notRunTable(run),
    '## How each was started',
    'For the figures over HTTP, or over stdio where the gateway knows nothing else. PORT, FOLDER and CACHE stand for what differs between runs.',
    ...gateways.map(howStarted),
  ].join('\n\n');
}
