/** What commands print: tables and lines for people, one JSON document with `--json`. */
import { styleText } from 'node:util';
import type { Action } from '../admin/schemas.js';
import { printable, printableJson, printableLine } from '../terminal/explain.js';
import type { Terminal } from '../terminal/terminal.js';
import type { Written } from './verb.js';

type Style = 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan';

export interface Output {
  readonly json: boolean;
  /** Prints one JSON document: the only thing on stdout with `--json`. */
  document(value: unknown): void;
  /** Prints a line for people. Control characters are replaced. */
  line(text: string): void;
  /** Prints rows in columns that fit their widest cell. The last column is not padded. */
  table(rows: readonly (readonly Cell[])[]): void;
  /** Says something on stderr: progress, notes. */
  note(text: string): void;
}

/** A cell of a table: a text, or a text with a style. */
export type Cell = string | readonly [text: string, style: Style];

/** Whether escape codes may be written: on a terminal, unless NO_COLOR or TERM=dumb says otherwise. */
export function hasColours({ tty, env }: Pick<Terminal, 'tty' | 'env'>): boolean {
  return tty.out && !env['NO_COLOR'] && env['TERM'] !== 'dumb';
}

export function outputOf({ flags }: Pick<Written, 'flags'>, terminal: Terminal): Output {
  const colours = hasColours(terminal);
  const paint = (cell: Cell): string => {
    if (typeof cell === 'string') return printableLine(cell);
    const text = printableLine(cell[0]);
    return colours ? styleText(cell[1], text, { validateStream: false }) : text;
  };
  return {
    json: flags.has('json'),
    document(value) {
      terminal.out(`${printableJson(value, terminal.tty.out ? 2 : undefined)}\n`);
    },
    line(text) {
      terminal.out(`${printable(text)}\n`);
    },
    table(rows) {
      const widths: number[] = [];
      for (const row of rows)
        row.forEach((cell, column) => {
          // Nothing follows the last cell of a row.
          if (column < row.length - 1) widths[column] = Math.max(widths[column] ?? 0, widthOf(textIn(cell)));
        });
      for (const row of rows) {
        const cells = row.map((cell, column) => {
          const gap = column === row.length - 1 ? 0 : (widths[column] ?? 0) - widthOf(textIn(cell));
          return paint(cell) + ' '.repeat(gap);
        });
        terminal.out(`${cells.join('  ').trimEnd()}\n`);
      }
    },
    note(text) {
      terminal.err(`${printable(text)}\n`);
    },
  };
}

function textIn(cell: Cell): string {
  return printableLine(typeof cell === 'string' ? cell : cell[0]);
}

/** Columns of a terminal, by code points: East Asian texts may be wider. */
function widthOf(text: string): number {
  return [...text].length;
}

/** `3 min`, `12 s`, `410 ms`: one unit, rounded. */
export function duration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const seconds = ms / 1000;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86_400)} d`;
}

/** `1 server`, `2 servers`. */
export function counted(count: number, what: string): string {
  return `${count.toLocaleString('en')} ${what}${count === 1 ? '' : 's'}`;
}

/** What is wrong with a server, and what to do: `command 'uvx' is not in PATH: install it, or write its full path`. Empty: nothing. */
export function wayOut({
  cause,
  action,
}: {
  readonly cause: string | null;
  readonly action: Pick<Action, 'text' | 'command'> | null;
}): string {
  const how = action
    ? action.command === undefined
      ? action.text
      : `${action.text}: ${action.command}`
    : '';
  return [cause ?? '', how].filter((part) => part !== '').join(': ');
}
