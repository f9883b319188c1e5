/** The last lines of the gateway's log, and with `-f` those that follow. */
import type { LogLine } from '../../admin/schemas.js';
import { printableJson, printableLine } from '../../terminal/explain.js';
import { outputOf, type Output } from '../output.js';
import { follow } from '../events.js';
import { gatewayOf, readApi } from '../target.js';
import type { Verb } from '../verb.js';

export const logs: Verb = async (written, terminal) => {
  const output = outputOf(written, terminal);
  const gateway = gatewayOf(written, terminal);
  if (!written.flags.has('follow')) {
    const { logs: lines } = await readApi<{ logs: readonly LogLine[] }>(gateway, 'logs');
    if (output.json) output.document(lines);
    else for (const line of lines) print(output, line);
    return 0;
  }
  return await follow(gateway, 'logs', ({ logs: lines = [] }) => {
    for (const line of lines)
      if (output.json) terminal.out(`${printableJson(line)}\n`);
      else print(output, line);
  });
};

function print(output: Output, { time, level, message, fields }: LogLine): void {
  const more = Object.entries(fields)
    .map(
      ([name, value]) =>
        `${name}=${typeof value === 'string' && /[\s"=]/.test(value) ? JSON.stringify(value) : value}`,
    )
    .join(' ');
  const text = `${printableLine(message)}${more === '' ? '' : `  ${printableLine(more)}`}`;
  output.line(`${time.slice(11, 23)} ${level.padEnd(5)} ${text}`);
}
