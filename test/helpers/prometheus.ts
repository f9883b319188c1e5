interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface Family {
  readonly name: string;
  readonly type: string;
  readonly help: string;
  readonly samples: Sample[];
}

/**
 * A strict parser of the Prometheus text format 0.0.4: one HELP and one TYPE before the samples of a family, no duplicate
 * series, histograms with cumulative buckets whose last one equals the count.
 */
export function parsePrometheus(text: string): Map<string, Family> {
  if (!text.endsWith('\n')) throw new Error('the last line does not end');
  const families = new Map<string, Family>();
  const helps = new Map<string, string>();
  const series = new Set<string>();
  let current: Family | undefined;
  for (const line of text.slice(0, -1).split('\n')) {
    const help = /^# HELP (\S+) (.+)$/.exec(line);
    const type = /^# TYPE (\S+) (counter|gauge|histogram)$/.exec(line);
    if (help) {
      const name = help[1] as string;
      if (helps.has(name)) throw new Error(`HELP twice: ${name}`);
      helps.set(name, help[2] as string);
    } else if (type) {
      const name = type[1] as string;
      if (families.has(name)) throw new Error(`TYPE twice: ${name}`);
      current = { name, type: type[2] as string, help: helps.get(name) ?? '', samples: [] };
      if (current.help === '') throw new Error(`no HELP before TYPE of ${name}`);
      families.set(name, current);
    } else {
      const sample = parseSample(line);
      const base =
        current?.type === 'histogram' ? sample.name.replace(/_(bucket|sum|count)$/, '') : sample.name;
      if (base !== current?.name) throw new Error(`sample outside of its family: ${line}`);
      const key = `${sample.name}${JSON.stringify(Object.entries(sample.labels).sort())}`;
      if (series.has(key)) throw new Error(`series twice: ${line}`);
      series.add(key);
      current.samples.push(sample);
    }
  }
  for (const family of families.values()) if (family.type === 'histogram') checkHistogram(family);
  return families;
}

function parseSample(line: string): Sample {
  const head = /^([a-zA-Z_:][a-zA-Z0-9_:]*)/.exec(line);
  if (!head) throw new Error(`not a sample: ${line}`);
  const name = head[1] as string;
  const labels: Record<string, string> = {};
  let rest = line.slice(name.length);
  if (rest.startsWith('{')) {
    rest = rest.slice(1);
    for (;;) {
      const label = /^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\["\\n])*)"(,|\})/.exec(rest);
      if (!label) throw new Error(`bad labels: ${line}`);
      const [all, key, raw, end] = label as unknown as [string, string, string, string];
      if (key in labels) throw new Error(`label twice: ${line}`);
      labels[key] = raw.replace(/\\(.)/g, (_match, c: string) => (c === 'n' ? '\n' : c));
      rest = rest.slice(all.length);
      if (end === '}') break;
    }
  }
  const value = /^ (-?\d+(?:\.\d+)?(?:e[+-]?\d+)?|[+-]Inf|NaN)$/.exec(rest);
  if (!value) throw new Error(`bad value: ${line}`);
  return { name, labels, value: Number((value[1] as string).replace('Inf', 'Infinity')) };
}

function checkHistogram(family: Family): void {
  const groups = new Map<string, Sample[]>();
  for (const sample of family.samples) {
    const { le: _le, ...own } = sample.labels;
    const key = JSON.stringify(own);
    groups.set(key, [...(groups.get(key) ?? []), sample]);
  }
  for (const [key, samples] of groups) {
    const buckets = samples.filter((sample) => sample.name === `${family.name}_bucket`);
    const only = (suffix: string): number => {
      const found = samples.filter((sample) => sample.name === `${family.name}_${suffix}`);
      if (found.length !== 1) throw new Error(`${family.name}${key} has ${found.length} ${suffix}`);
      return (found[0] as Sample).value;
    };
    let edge = -Infinity;
    let total = 0;
    for (const { labels, value } of buckets) {
      const le = Number(labels['le']?.replace('Inf', 'Infinity'));
      if (!(le > edge) || value < total) throw new Error(`buckets of ${family.name}${key} do not add up`);
      edge = le;
      total = value;
    }
    if (edge !== Infinity || total !== only('count'))
      throw new Error(`${family.name}${key}: +Inf is not the count`);
    if (Number.isNaN(only('sum'))) throw new Error(`${family.name}${key} has no sum`);
  }
}

/** The value of a series, or undefined. */
export function valueOf(
  families: Map<string, Family>,
  name: string,
  labels: Record<string, string> = {},
): number | undefined {
  const family = families.get(name) ?? families.get(name.replace(/_(bucket|sum|count)$/, ''));
  return family?.samples.find(
    (sample) =>
      sample.name === name &&
      Object.keys(sample.labels).length === Object.keys(labels).length &&
      Object.entries(labels).every(([key, value]) => sample.labels[key] === value),
  )?.value;
}
