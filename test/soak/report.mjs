// The table of a run, for a terminal and for docs/soak.md.
import { appendFileSync } from 'node:fs';
import { quantile } from './ledger.mjs';

/** Prints what a run did and found; with `asked.report` also as Markdown at the end of that file. */
export function report({ asked, ledger, broken, ms = 0, upMs = 0, before = {}, after = {}, load }) {
  const operations = [...ledger.operations].map(([name, { ok, failed, ms: times }]) => ({
    ...{ operation: name, ok, failed },
    ...{ 'p50, ms': Math.round(quantile(times, 0.5)), 'p99, ms': Math.round(quantile(times, 0.99)) },
  }));
  const kinds = new Map();
  for (const { kind, calls } of ledger.faults) {
    const row = kinds.get(kind) ?? { fault: kind, times: 0, 'calls it failed': 0 };
    row.times++;
    row['calls it failed'] += calls;
    kinds.set(kind, row);
  }
  const held = Object.entries(after).flatMap(([name, row]) =>
    Object.entries(row).map(([what, count]) => ({
      ...{ process: name, what, before: round(before[name]?.[what] ?? 0), after: round(count) },
    })),
  );
  const total = operations.reduce((sum, { ok, failed }) => sum + ok + failed, 0);
  const verdict = broken
    ? `broken: ${broken.message}`
    : `clean: ${total} operations, ${operations.reduce((sum, { failed }) => sum + failed, 0)} failed, each with its cause`;
  const summary = [
    `seed ${asked.seed}, ${(ms / 60_000).toFixed(1)} minutes of faults, ${asked.clients} clients, ${asked.fleet ? 'three replicas behind nginx' : 'one gateway'}`,
    verdict,
    `sessions ended by faults: ${ledger.sessionsLost}; all up ${(upMs / 1000).toFixed(1)} s after the last fault`,
  ];
  if (load) summary.push(`CPU of the gateways: ${((1000 * load.cpu) / total).toFixed(1)} ms an operation`);
  for (const line of summary) console.log(line);
  const faults = [...kinds.values()].sort((a, b) => b.times - a.times);
  const tables = [operations, faults, load?.table ?? [], held];
  for (const rows of tables) if (rows.length > 0) console.table(rows);
  const causes = [...ledger.excused].sort((a, b) => b[1] - a[1]).slice(0, 40);
  for (const [text, count] of causes) console.log(`  ${count} x ${text}`);
  if (!asked.report) return;
  const [title, ...rest] = summary;
  appendFileSync(
    asked.report,
    `\n## ${title}\n\n${rest.map((line) => `- ${line}`).join('\n')}\n${tables.map(markdown).join('')}`,
  );
}

const round = (number) => Number(number.toFixed(1));

function markdown(rows) {
  if (rows.length === 0) return '';
  const names = Object.keys(rows[0]);
  const line = (cells) => `| ${cells.join(' | ')} |\n`;
  return `\n${line(names)}${line(names.map(() => '---'))}${rows.map((row) => line(names.map((name) => row[name]))).join('')}`;
}
