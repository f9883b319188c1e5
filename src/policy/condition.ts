/** Conditions in CEL: `when` of a rule. Loaded with the first condition, because the library is large. */
import { createRequire } from 'node:module';
import type * as Cel from '@bufbuild/cel';
import type * as Re2 from '@bufbuild/re2';
import type { JsonObject } from '../wire/json.js';
import { repetitionsOf } from './repetitions.js';

/** What a condition can name. */
export interface ConditionInput {
  readonly principal: JsonObject;
  readonly args: JsonObject;
  readonly uri: string;
  readonly name: string;
  readonly server: string;
  readonly route: string;
}

export interface Condition {
  /** Whether it reads the arguments of the call. */
  readonly readsArguments: boolean;
  /** `error`: it cannot be decided for this input. Does not throw. */
  evaluate(input: ConditionInput): boolean | 'error';
}

/** The condition is not accepted. */
export class ConditionError extends Error {}

const NAMES: readonly string[] = ['principal', 'args', 'uri', 'name', 'server', 'route'];
/** Characters of a condition. */
const MAX_TEXT = 4096;
/** Characters that `matches` may search. */
const MAX_SEARCHED = 4096;
/** Elements that a comprehension may visit. */
const MAX_ELEMENTS = 2000;
/** Product of nested counted repetitions in a pattern. */
const MAX_REPETITIONS = 50;
/** Nesting of the expression; recursive code reads it. */
const MAX_DEPTH = 64;
/** The function that each comprehension applies to what it visits. Users cannot write the name. */
const BOUNDED = '@bounded';

type Expr = ReturnType<typeof Cel.parse>['expr'];

interface Libraries {
  readonly cel: typeof Cel;
  readonly re2: typeof Re2;
}

let loaded: Libraries | undefined;

function libraries(): Libraries {
  if (!loaded) {
    const require = createRequire(import.meta.url);
    loaded = { cel: require('@bufbuild/cel') as typeof Cel, re2: require('@bufbuild/re2') as typeof Re2 };
  }
  return loaded;
}

/** Throws ConditionError. */
export function compileCondition(text: string): Condition {
  if (text.length > MAX_TEXT) throw new ConditionError(`has more than ${MAX_TEXT} characters`);
  const { cel, re2 } = libraries();
  let expr: Expr;
  try {
    ({ expr } = cel.parse(text));
  } catch (error) {
    throw new ConditionError(`is not CEL: ${firstLine(error)}`);
  }
  const check = new Check(re2);
  check.visit(expr, 0, []);
  const bounded = (size: number): void => {
    if (size > MAX_ELEMENTS) throw new Error(`more than ${MAX_ELEMENTS} elements`);
  };
  const { DYN } = cel.CelScalar;
  const env = cel.celEnv({
    funcs: [
      cel.celFunc(BOUNDED, [cel.listType(DYN)], cel.listType(DYN), (list) => {
        bounded(list.size);
        return list;
      }),
      cel.celFunc(BOUNDED, [cel.mapType(DYN, DYN)], cel.mapType(DYN, DYN), (map) => {
        bounded(map.size);
        return map;
      }),
    ],
    re2: { compile: (pattern) => check.patternOf(pattern) },
  });
  let run: (input: never) => unknown;
  try {
    run = cel.plan(env, expr);
  } catch (error) {
    throw new ConditionError(`is not understood: ${firstLine(error)}`);
  }
  return {
    readsArguments: check.readsArguments,
    evaluate(input) {
      try {
        const result = run(input as never);
        return typeof result === 'boolean' ? result : 'error';
      } catch {
        return 'error';
      }
    },
  };
}

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n')[0] ?? '';
}

interface Pattern {
  test(text: string): boolean;
}

/** Checks an expression, and bounds what its comprehensions visit. */
class Check {
  readsArguments = false;
  readonly #re2: Libraries['re2'];
  readonly #patterns = new Map<string, Pattern>();

  constructor(re2: Libraries['re2']) {
    this.#re2 = re2;
  }

  /** A pattern that was compiled with the condition. */
  patternOf(text: string): Pattern {
    const pattern = this.#patterns.get(text);
    if (!pattern) throw new Error('a pattern that is not in the condition');
    return pattern;
  }

  /** `own`: names that comprehensions around it introduce. */
  visit(expr: Expr | undefined, depth: number, own: readonly string[]): void {
    if (!expr) return;
    if (depth > MAX_DEPTH) throw new ConditionError('is nested too deeply');
    const { exprKind: kind } = expr;
    const inner = (each: Expr | undefined, names = own): void => {
      this.visit(each, depth + 1, names);
    };
    switch (kind.case) {
      case 'identExpr':
        this.#name(kind.value.name, own);
        return;
      case 'selectExpr':
        inner(kind.value.operand);
        return;
      case 'callExpr': {
        const { function: called, target, args } = kind.value;
        if (called === 'matches') this.#pattern(target ? args : args.slice(1), own);
        inner(target);
        for (const arg of args) inner(arg);
        return;
      }
      case 'listExpr':
        for (const element of kind.value.elements) inner(element);
        return;
      case 'structExpr':
        for (const { keyKind, value } of kind.value.entries) {
          if (keyKind.case === 'mapKey') inner(keyKind.value);
          inner(value);
        }
        return;
      case 'comprehensionExpr': {
        const { iterVar, iterVar2, accuVar, iterRange, accuInit, loopCondition, loopStep, result } =
          kind.value;
        if (own.length > 0)
          throw new ConditionError('has a comprehension (all, exists, map, filter) within another');
        inner(iterRange);
        inner(accuInit);
        const names = [iterVar, iterVar2, accuVar].filter((name) => name !== '');
        for (const each of [loopCondition, loopStep, result]) inner(each, names);
        if (iterRange) kind.value.iterRange = bound(iterRange);
        return;
      }
      case 'constExpr':
      case undefined:
        return;
    }
  }

  #name(name: string, own: readonly string[]): void {
    if (name === 'args') this.readsArguments = true;
    // Names of types are values of CEL.
    if (NAMES.includes(name) || own.includes(name) || TYPES.has(name)) return;
    throw new ConditionError(`knows no '${name.slice(0, 64)}': it may use ${NAMES.join(', ')}`);
  }

  #pattern([pattern]: readonly Expr[], own: readonly string[]): void {
    if (own.length > 0) throw new ConditionError('has matches() within a comprehension');
    const constant = pattern?.exprKind.case === 'constExpr' ? pattern.exprKind.value.constantKind : undefined;
    if (constant?.case !== 'stringValue')
      throw new ConditionError('has matches() with a pattern that is not written as a string');
    const text = constant.value;
    if (repetitionsOf(text) > MAX_REPETITIONS)
      throw new ConditionError(
        `has a pattern that repeats more than ${MAX_REPETITIONS} times: '${text.slice(0, 64)}'`,
      );
    try {
      const compiled = this.#re2.RE2JS.compile(text);
      this.#patterns.set(text, {
        test(searched) {
          if (searched.length > MAX_SEARCHED)
            throw new Error(`matches() on more than ${MAX_SEARCHED} characters`);
          return compiled.test(searched);
        },
      });
    } catch (error) {
      throw new ConditionError(`has the invalid pattern '${text.slice(0, 64)}': ${firstLine(error)}`);
    }
  }
}

const TYPES: ReadonlySet<string> = new Set([
  'bool',
  'bytes',
  'double',
  'int',
  'list',
  'map',
  'null_type',
  'string',
  'type',
  'uint',
]);

/** `range` as the argument of the function that limits its size. */
function bound(range: Expr): Expr {
  return {
    ...range,
    exprKind: {
      case: 'callExpr',
      value: { $typeName: 'cel.expr.Expr.Call', target: undefined, function: BOUNDED, args: [range] },
    },
  };
}
