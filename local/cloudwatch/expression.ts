/** A value of metric math at one point in time; `undefined` where there is no data. */
export type Value = number | undefined;
/** A function may take a list of metrics: `MAX([a, b])`. */
type Operand = Value | readonly Value[];

/**
 * Evaluates CloudWatch's metric math at one point in time.
 * @param metrics by id, those that have no data included
 * @throws Error for what isn't known
 */
export function evaluateExpression(expression: string, metrics: ReadonlyMap<string, Value>): Value {
  const parser = new Parser(expression, metrics);
  const value = single(parser.whole());
  return value !== undefined && Number.isFinite(value) ? value : undefined;
}

const TOKEN = /\s*(?:(\d+(?:\.\d+)?)|([A-Za-z_]\w*)|(<=|>=|==|!=|&&|\|\||[-+*/^()[\],<>])|"([^"]*)")/y;

type Token = { readonly kind: 'number' | 'name' | 'sign' | 'text'; readonly text: string };

class Parser {
  readonly #expression: string;
  readonly #metrics: ReadonlyMap<string, Value>;
  readonly #tokens: Token[];
  #at = 0;

  constructor(expression: string, metrics: ReadonlyMap<string, Value>) {
    this.#expression = expression;
    this.#metrics = metrics;
    this.#tokens = tokens(expression);
  }

  whole(): Operand {
    const value = this.#binary(0);
    if (this.#at < this.#tokens.length) throw this.#unknown(this.#tokens[this.#at]?.text);
    return value;
  }

  #binary(level: number): Operand {
    const signs = LEVELS[level];
    if (signs === undefined) return this.#unary();
    let left = this.#binary(level + 1);
    for (let sign = this.#take(signs); sign !== undefined; sign = this.#take(signs)) {
      const right = single(this.#binary(level + 1));
      const one = single(left);
      left = one === undefined || right === undefined ? undefined : OPERATORS[sign]?.(one, right);
    }
    return left;
  }

  #unary(): Operand {
    if (this.#take(['-']) !== undefined) {
      const value = single(this.#unary());
      return value === undefined ? undefined : -value;
    }
    const token = this.#tokens[this.#at];
    this.#at += 1;
    if (token?.kind === 'number') return Number(token.text);
    if (token?.text === '(') return this.#until(')')[0];
    if (token?.text === '[') return this.#until(']').map(single);
    if (token?.kind === 'name') return this.#named(token.text);
    throw this.#unknown(token?.text);
  }

  #named(name: string): Operand {
    if (this.#take(['(']) === undefined) {
      if (this.#metrics.has(name)) return this.#metrics.get(name);
      throw this.#unknown(name);
    }
    const fn = FUNCTIONS[name];
    if (fn === undefined) throw this.#unknown(name);
    return fn(...this.#until(')'));
  }

  #until(end: string): Operand[] {
    const values: Operand[] = [];
    if (this.#take([end]) !== undefined) return values;
    for (;;) {
      values.push(this.#binary(0));
      if (this.#take([end]) !== undefined) return values;
      if (this.#take([',']) === undefined) throw this.#unknown(this.#tokens[this.#at]?.text);
    }
  }

  #take(signs: readonly string[]): string | undefined {
    const token = this.#tokens[this.#at];
    if (token === undefined || (token.kind !== 'sign' && token.kind !== 'name') || !signs.includes(token.text)) {
      return undefined;
    }
    this.#at += 1;
    return token.text;
  }

  #unknown(what = 'its end'): Error {
    return new Error(`the local run doesn't know ${what} in the metric math ${JSON.stringify(this.#expression)}`);
  }
}

function tokens(expression: string): Token[] {
  const found: Token[] = [];
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < expression.trimEnd().length) {
    const at = TOKEN.lastIndex;
    const match = TOKEN.exec(expression);
    if (match === null) {
      throw new Error(`the local run can't read the metric math ${JSON.stringify(expression)} from character ${at} on`);
    }
    const [, digits, name, sign, text] = match;
    if (digits !== undefined) found.push({ kind: 'number', text: digits });
    else if (name !== undefined) found.push({ kind: 'name', text: name });
    else if (sign !== undefined) found.push({ kind: 'sign', text: sign });
    else found.push({ kind: 'text', text: text ?? '' });
  }
  return found;
}

/** The weakest first. */
const LEVELS: ReadonlyArray<readonly string[]> = [
  ['||', 'OR'],
  ['&&', 'AND'],
  ['<', '>', '<=', '>=', '==', '!='],
  ['+', '-'],
  ['*', '/'],
  ['^'],
];

const or = (a: number, b: number): number => Number(a !== 0 || b !== 0);
const and = (a: number, b: number): number => Number(a !== 0 && b !== 0);

const OPERATORS: Readonly<Record<string, (a: number, b: number) => number>> = {
  '||': or,
  OR: or,
  '&&': and,
  AND: and,
  '<': (a, b) => Number(a < b),
  '>': (a, b) => Number(a > b),
  '<=': (a, b) => Number(a <= b),
  '>=': (a, b) => Number(a >= b),
  '==': (a, b) => Number(a === b),
  '!=': (a, b) => Number(a !== b),
  '+': (a, b) => a + b,
  '-': (a, b) => a - b,
  '*': (a, b) => a * b,
  // Nothing divided by nothing is no data.
  '/': (a, b) => a / b,
  '^': (a, b) => a ** b,
};

const FUNCTIONS: Readonly<Record<string, (...values: Operand[]) => Operand>> = {
  FILL: (metric, filling) =>
    Array.isArray(metric) ? metric.map((value) => value ?? single(filling)) : (single(metric) ?? single(filling)),
  IF: (condition, yes, no) => {
    const holds = single(condition);
    return holds === undefined ? undefined : holds !== 0 ? yes : no;
  },
  ABS: (value) => map(value, Math.abs),
  CEIL: (value) => map(value, Math.ceil),
  FLOOR: (value) => map(value, Math.floor),
  MAX: (...values) => reduce(values, (all) => Math.max(...all)),
  MIN: (...values) => reduce(values, (all) => Math.min(...all)),
  SUM: (...values) => reduce(values, (all) => all.reduce((sum, value) => sum + value, 0)),
  AVG: (...values) => reduce(values, (all) => all.reduce((sum, value) => sum + value, 0) / all.length),
};

function single(operand: Operand): Value {
  if (typeof operand === 'number' || operand === undefined) return operand;
  throw new Error('the local run takes one metric, not a list, as the value of a metric math expression');
}

function map(operand: Operand, fn: (value: number) => number): Value {
  const value = single(operand);
  return value === undefined ? undefined : fn(value);
}

/** Metrics without data at that time are left out. */
function reduce(operands: readonly Operand[], fn: (values: readonly number[]) => number): Value {
  const values = operands.flat().filter((value) => value !== undefined);
  return values.length === 0 ? undefined : fn(values);
}
