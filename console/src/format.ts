/** Numbers, times and sizes for people, by the browser's language. */

const whole = new Intl.NumberFormat(undefined, { maximumFractionDigits: 0 });
const oneDigit = new Intl.NumberFormat(undefined, { maximumFractionDigits: 1 });
const percent = new Intl.NumberFormat(undefined, { style: 'percent', maximumFractionDigits: 1 });
const clock = new Intl.DateTimeFormat(undefined, { timeStyle: 'medium' });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' });

export const UNKNOWN = '–';

export const count = (value: number): string => whole.format(value);
export const share = (value: number | null): string => (value === null ? UNKNOWN : percent.format(value));
export const plural = (value: number, one: string, many = `${one}s`): string =>
  `${count(value)} ${value === 1 ? one : many}`;

/** 41 ms, 1.2 s, 3 min 5 s. */
export function duration(ms: number | null): string {
  if (ms === null) return UNKNOWN;
  if (ms < 1) return ms === 0 ? '0 ms' : '< 1 ms';
  if (ms < 1_000) return `${whole.format(ms)} ms`;
  if (ms < 60_000) return `${oneDigit.format(ms / 1_000)} s`;
  return age(ms);
}

/** 12 s, 3 min, 2 h, 4 d. */
export function age(ms: number): string {
  const s = Math.max(0, Math.floor(ms / 1_000));
  if (s < 60) return `${s} s`;
  if (s < 3_600) return `${Math.floor(s / 60)} min`;
  if (s < 172_800) return `${Math.floor(s / 3_600)} h`;
  return `${Math.floor(s / 86_400)} d`;
}

export function bytes(value: number | null): string {
  if (value === null) return UNKNOWN;
  if (value < 1_024) return `${whole.format(value)} B`;
  if (value < 1_024 ** 2) return `${oneDigit.format(value / 1_024)} KB`;
  return `${oneDigit.format(value / 1_024 ** 2)} MB`;
}

const parsed = (time: string | number): Date => new Date(time);

export const timeOfDay = (time: string | number): string => clock.format(parsed(time));
export const dateAndTime = (time: string | number): string => full.format(parsed(time));
