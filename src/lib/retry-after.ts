const MOST_S = 3600;

/** What `Retry-After` asks for (RFC 9110, 10.2.3: seconds, or a date) in ms, at most an hour; undefined: it is invalid. */
export function readRetryAfter(value: string): number | undefined {
  const isDate = /^[A-Za-z]{3}/.test(value);
  const seconds = isDate
    ? (Date.parse(value) - Date.now()) / 1000
    : /^\d+$/.test(value)
      ? Number(value)
      : NaN;
  return Number.isFinite(seconds) ? Math.min(Math.max(seconds, 0), MOST_S) * 1000 : undefined;
}
