/** Checks PromQL against the metrics of the gateway: every name, label and value must be one that it has. */
import { parser } from '@prometheus-io/lezer-promql';
import { FAMILIES } from '../../src/observe/families.js';

type Node = ReturnType<typeof parser.parse>['topNode'];

/** What Prometheus adds to each series of a target. */
const TARGET = ['job', 'instance'];
/** Metrics of Prometheus itself, about a target. */
const OF_PROMETHEUS = ['up', 'scrape_duration_seconds'];
const families = new Map(FAMILIES.map((family) => [family.name, family]));

/** The labels of the series of a metric, and their values where these are a closed set. Throws an Error for a name that nothing has. */
export function labelsOf(name: string): Record<string, readonly string[] | undefined> {
  const target = Object.fromEntries(TARGET.map((label) => [label, undefined]));
  if (OF_PROMETHEUS.includes(name)) return target;
  const own = families.get(name);
  if (own && own.kind !== 'histogram') return { ...target, ...own.labels };
  const [, base = '', suffix] = /^(.*)_(bucket|sum|count)$/.exec(name) ?? [];
  const histogram = families.get(base);
  if (histogram?.kind !== 'histogram') throw new Error(`no metric ${name}`);
  return { ...target, ...histogram.labels, ...(suffix === 'bucket' && { le: undefined }) };
}

/** The metrics that an expression names. */
export function metricsOf(expr: string): string[] {
  const names: string[] = [];
  parser.parse(expr).iterate({
    enter: ({ name, node, from, to }) => {
      if (name === 'Identifier' && node.parent?.name === 'VectorSelector') names.push(expr.slice(from, to));
    },
  });
  return names;
}

/** The labels of what an expression gives; undefined: a number. Throws an Error that names what is wrong. */
export function checkPromql(expr: string): Set<string> | undefined {
  const tree = parser.parse(expr);
  tree.iterate({
    enter: ({ type, from }) => {
      if (type.isError) throw new Error(`not PromQL from '${expr.slice(from)}' on: ${expr}`);
    },
  });
  return new Checker(expr).labels(tree.topNode.firstChild as Node);
}

class Checker {
  readonly #expr: string;

  constructor(expr: string) {
    this.#expr = expr;
  }

  #text({ from, to }: Node): string {
    return this.#expr.slice(from, to);
  }

  #fail(node: Node, why: string): never {
    throw new Error(`${why}, in ${this.#text(node)}`);
  }

  #vector(node: Node): Set<string> {
    return this.labels(node) ?? this.#fail(node, 'a number where series are needed');
  }

  labels(node: Node): Set<string> | undefined {
    switch (node.name) {
      case 'NumberDurationLiteral':
      case 'StringLiteral':
        return undefined;
      case 'VectorSelector':
        return this.#selector(node);
      case 'MatrixSelector':
      case 'SubqueryExpr':
      case 'OffsetExpr':
      case 'ParenExpr':
        return this.labels(node.firstChild as Node);
      case 'AggregateExpr':
        return this.#aggregate(node);
      case 'FunctionCall':
        return this.#call(node);
      case 'BinaryExpr':
        return this.#binary(node);
      default:
        return this.#fail(node, `${node.name} is not known here`);
    }
  }

  #selector(node: Node): Set<string> {
    const name = this.#text(node.getChild('Identifier') ?? this.#fail(node, 'a selector without a name'));
    const known = labelsOf(name);
    for (const matcher of node.getChild('LabelMatchers')?.getChildren('UnquotedLabelMatcher') ?? []) {
      const label = this.#text(matcher.getChild('LabelName') as Node);
      if (!(label in known)) this.#fail(node, `${name} has no label ${label}`);
      const value = JSON.parse(this.#text(matcher.getChild('StringLiteral') as Node)) as string;
      const values = known[label];
      if (!values) continue;
      const isPattern = this.#text(matcher.getChild('MatchOp') as Node).includes('~');
      for (const each of isPattern ? value.split('|') : [value])
        if (!values.includes(each)) this.#fail(node, `${label} of ${name} is never '${each}'`);
    }
    return new Set(Object.keys(known));
  }

  #names(node: Node | null | undefined): string[] {
    return (node?.getChildren('LabelName') ?? []).map((each) => this.#text(each));
  }

  #arguments(node: Node): Node[] {
    const found: Node[] = [];
    for (let at = node.getChild('FunctionCallBody')?.firstChild; at; at = at.nextSibling) found.push(at);
    return found;
  }

  #aggregate(node: Node): Set<string> {
    const given = this.#vector(this.#arguments(node).at(-1) as Node);
    const modifier = node.getChild('AggregateModifier');
    const names = this.#names(modifier?.getChild('GroupingLabels'));
    for (const name of names)
      if (!given.has(name)) this.#fail(node, `grouped by ${name}, which is not there`);
    if (/^(top|bottom)k/.test(this.#text(node))) return given;
    if (modifier?.getChild('By') ?? !modifier) return new Set(names);
    return new Set([...given].filter((name) => !names.includes(name)));
  }

  #call(node: Node): Set<string> | undefined {
    const name = this.#text(node.getChild('FunctionIdentifier') as Node);
    const given = this.#arguments(node);
    if (name === 'time') return undefined;
    const inner = given.map((each) => this.labels(each));
    if (name === 'vector') return new Set();
    if (name === 'absent') return new Set();
    const series = inner.find((each) => each !== undefined);
    if (!series) return undefined;
    if (name !== 'histogram_quantile') return series;
    if (!series.has('le')) this.#fail(node, 'a quantile without le');
    return new Set([...series].filter((each) => each !== 'le'));
  }

  #binary(node: Node): Set<string> | undefined {
    const left = this.labels(node.firstChild as Node);
    const right = this.labels(node.lastChild as Node);
    if (!left || !right) return left ?? right;
    if (node.getChild('Or')) return new Set([...left, ...right]);
    const matching = node.getChild('MatchingModifierClause');
    if (matching) {
      for (const name of this.#names(matching.getChild('GroupingLabels')))
        if (!left.has(name) || !right.has(name)) this.#fail(node, `one side has no ${name}`);
    } else if ([...left].sort().join() !== [...right].sort().join()) {
      this.#fail(node, `both sides never match: {${[...left].join()}}, {${[...right].join()}}`);
    }
    return left;
  }
}
