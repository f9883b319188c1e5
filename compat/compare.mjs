// The differences between a client's results with a direct connection and through the gateway.

const isObject = (value) => value !== null && typeof value === 'object';
const keysOf = (...values) => [...new Set(values.flatMap((value) => Object.keys(value)))];

/** Every place where two values differ: {path, a, b}. Members that are absent are undefined. */
export function differences(a, b, path = '') {
  if (a === b || (Number.isNaN(a) && Number.isNaN(b))) return [];
  if (!isObject(a) || !isObject(b) || Array.isArray(a) !== Array.isArray(b)) return [{ path, a, b }];
  if (Array.isArray(a) && a.length !== b.length) return [{ path, a, b }];
  return keysOf(a, b).flatMap((key) => differences(a[key], b[key], `${path}/${key}`));
}

/** Unstable results: the places where two direct runs differ. */
export function masksOf(first, second) {
  const masks = new Map();
  for (const [name, outcome] of first)
    masks.set(
      name,
      differences(outcome, second.get(name)).map(({ path }) => path),
    );
  return masks;
}

const under = (path, masks) => masks.some((mask) => path === mask || path.startsWith(`${mask}/`));

/** All differences between a run through the gateway and the direct one: {step, path, straight, through}. */
export function compare(straight, through, masks, { ignore = () => false } = {}) {
  const found = [];
  for (const [step, outcome] of straight) {
    if (outcome.unsupported !== undefined) continue;
    const other = through.get(step) ?? { silent: 'not reached' };
    for (const { path, a, b } of differences(outcome, other))
      if (!under(path, masks.get(step) ?? []) && !ignore(step, path, a, b))
        found.push({ step, path, straight: a, through: b });
  }
  return found;
}
