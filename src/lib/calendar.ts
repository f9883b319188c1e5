/** The end of a day in UTC, Unix milliseconds; NaN: there is no such day. `date`: 2027-06-30. */
export function endOfDay(date: string): number {
  const start = /^\d{4}-\d{2}-\d{2}$/.test(date) ? Date.parse(`${date}T00:00:00Z`) : NaN;
  // 2027-02-31 is parsed, too, as a day of March.
  return Number.isNaN(start) || !new Date(start).toISOString().startsWith(date) ? NaN : start + DAY_MS;
}

export const DAY_MS = 86_400_000;
