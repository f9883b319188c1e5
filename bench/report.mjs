// Statistics over rounds, and the lines of the report.
export const median = (numbers) => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)];
export const minimum = (numbers) => Math.min(...numbers);
export const quantile = (numbers, share) =>
  numbers.toSorted((a, b) => a - b)[Math.min(numbers.length - 1, Math.floor(numbers.length * share))];

export const lines = [];
export const say = (line = '') => {
  console.log(line);
  lines.push(line);
};

export function table(head, rows) {
  say(`| ${head.join(' | ')} |`);
  say(`| ${head.map(() => '---').join(' | ')} |`);
  for (const row of rows) say(`| ${row.join(' | ')} |`);
  say();
}

/** Shows the progress of long runs. */
export const progress = (...words) => console.error(words.join('  '));

const short = (value) => value.toFixed(Math.abs(value) < 10 ? 1 : 0);
/** The median, and the minimum in brackets. */
export const show = (numbers) => (numbers ? `${short(median(numbers))} (${short(minimum(numbers))})` : '');

/** The ratio of two lists, round by round, because the machine itself changes between rounds. */
export function ratio(top, bottom) {
  if (!top || !bottom) return undefined;
  const ratios = top.map((value, round) => value / bottom[round]);
  // autocannon counts whole milliseconds: there may be none.
  if (!ratios.every(Number.isFinite)) return undefined;
  return { mid: median(ratios), low: minimum(ratios) };
}

const fine = (value) => value.toFixed(value < 0.1 ? 3 : 2);
export const showRatio = (one) => (one ? `${fine(one.mid)} (${fine(one.low)})` : '');

/** A limit is missed only when the median and the minimum both exceed it. */
export function verdict(one, limit, of = '') {
  if (!one || limit === undefined) return '';
  const word = one.mid <= limit ? 'yes' : one.low <= limit ? 'near' : 'NO';
  return `<= ${limit}${of}: ${word}`;
}

/** For figures that are not ratios. */
export const verdictOf = (numbers, limit, unit = '') =>
  numbers && verdict({ mid: median(numbers), low: minimum(numbers) }, limit, unit);
