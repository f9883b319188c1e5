// The tools of the example server over HTTP: time in any zone, and a slow tool that shows streaming.
import { setTimeout as sleep } from 'node:timers/promises';
import { ToolError, type ServerInfo, type Tool } from './tools.js';

export const clock: ServerInfo = {
  name: 'clock',
  title: 'Clock',
  version: '1.0.0',
  instructions: 'Time zones are IANA names such as Europe/Berlin or America/New_York.',
};

export const clockTools: readonly Tool[] = [
  {
    name: 'now',
    title: 'Current time',
    description: 'Returns the current date and time in a time zone.',
    inputSchema: {
      type: 'object',
      properties: { timezone: { type: 'string', description: 'IANA name', default: 'UTC', maxLength: 100 } },
      additionalProperties: false,
    },
    readOnly: true,
    call: ({ timezone = 'UTC' }) => show(Date.now(), timezone as string),
  },
  {
    name: 'convert',
    title: 'Convert a time',
    description: 'Converts a date and time from one time zone to another.',
    inputSchema: {
      type: 'object',
      properties: {
        time: { type: 'string', description: 'As 2026-03-29T14:30', maxLength: 30 },
        from: { type: 'string', description: 'IANA name of the zone the time is in', maxLength: 100 },
        to: { type: 'string', description: 'IANA name of the zone to convert to', maxLength: 100 },
      },
      required: ['time', 'from', 'to'],
      additionalProperties: false,
    },
    readOnly: true,
    call: ({ time, from, to }) => show(instant(time as string, from as string), to as string),
  },
  {
    name: 'countdown',
    title: 'Count down',
    description: 'Counts down a second at a time and tells its progress: a slow call, to see streaming with.',
    inputSchema: {
      type: 'object',
      properties: {
        seconds: { type: 'integer', description: 'Where to begin', minimum: 1, maximum: 60, default: 3 },
      },
      additionalProperties: false,
    },
    readOnly: true,
    async call({ seconds = 3 }, { progress, signal }) {
      const total = seconds as number;
      for (let done = 0; done < total; done++) {
        progress(done, total, `${total - done} ...`);
        await sleep(1000, undefined, { signal });
      }
      progress(total, total, '0');
      return `Counted down from ${total}.`;
    },
  },
];

function show(epoch: number, zone: string): string {
  const format = new Intl.DateTimeFormat('en-GB', {
    timeZone: known(zone),
    weekday: 'long',
    year: 'numeric',
    month: 'long',
    day: 'numeric',
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
    timeZoneName: 'longOffset',
  });
  return `${format.format(epoch)} (${zone})`;
}

function known(zone: string): string {
  try {
    new Intl.DateTimeFormat('en-GB', { timeZone: zone });
    return zone;
  } catch {
    const word =
      zone
        .toLowerCase()
        .split(/[/_\s-]+/)
        .at(-1) ?? '';
    const like = Intl.supportedValuesOf('timeZone').filter(
      (name) => word !== '' && name.toLowerCase().includes(word),
    );
    const hint =
      like.length > 0
        ? `Did you mean ${like.slice(0, 3).join(' or ')}?`
        : 'Use an IANA name such as Asia/Tokyo.';
    throw new ToolError(`There is no time zone "${zone}". ${hint}`);
  }
}

/** The instant at which clocks in `zone` show `time`; a time that the zone skips counts as one hour later. */
function instant(time: string, zone: string): number {
  const parts = /^(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d)(?::(\d\d))?$/
    .exec(time.trim())
    ?.slice(1)
    .map(Number);
  if (!parts) throw new ToolError(`"${time}" is not a date and time such as 2026-03-29T14:30.`);
  const [year = 0, month = 1, day = 1, hour = 0, minute = 0, second] = parts;
  const asUtc = Date.UTC(year, month - 1, day, hour, minute, second || 0);
  const check = new Date(asUtc);
  if (check.getUTCMonth() !== month - 1 || check.getUTCDate() !== day || hour > 23 || minute > 59) {
    throw new ToolError(`"${time}" is not a date and time of the calendar.`);
  }
  const guess = asUtc - offset(asUtc, zone);
  return asUtc - offset(guess, zone);
}

/** How far clocks in `zone` are ahead of UTC at an instant, in milliseconds. */
function offset(epoch: number, zone: string): number {
  const format = new Intl.DateTimeFormat('en-US', { timeZone: known(zone), timeZoneName: 'longOffset' });
  const name = format.formatToParts(epoch).find(({ type }) => type === 'timeZoneName')?.value ?? '';
  const match = /([+-])(\d\d):(\d\d)(?::(\d\d))?/.exec(name);
  if (!match) return 0;
  const [, sign, hours, minutes, seconds = '0'] = match;
  const ahead = (Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds)) * 1000;
  return sign === '-' ? -ahead : ahead;
}
