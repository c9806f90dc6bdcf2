import type { GatewayContext } from './context.ts';
import type { GatewayRequest } from './request.ts';

/**
 * The part of VTL that CORS preflight responses use: `#set`, `#if`/`#elseif`/`#else`, comparisons joined by `||`,
 * `.matches("…")`, request headers and `$context`. What is outside of it is an error at start.
 */
export type Vtl = readonly VtlNode[];

type VtlNode =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'set'; readonly target: string; readonly value: Expression }
  | { readonly kind: 'if'; readonly branches: ReadonlyArray<{ readonly test: Test; readonly body: Vtl }> };

type Expression =
  | { readonly kind: 'literal'; readonly text: string }
  | { readonly kind: 'variable'; readonly name: string }
  | { readonly kind: 'header'; readonly name: string };

/** Holds when one of the comparisons does; without any, always. */
type Test = ReadonlyArray<{ readonly left: Expression; readonly operator: '==' | 'matches'; readonly right: string }>;

export interface VtlResult {
  readonly text: string;
  /** `#set($context.responseOverride.header.<name> = …)` */
  readonly headers: ReadonlyMap<string, string>;
}

export function parseVtl(template: string): Vtl {
  const tokens = tokenize(template);
  const [nodes, rest] = parseBlock(tokens, false);
  if (rest.length > 0) throw new Error(`${rest[0]} without #if`);
  return nodes;
}

export function renderVtl(vtl: Vtl, request: GatewayRequest, context: GatewayContext): VtlResult {
  const variables = new Map<string, string>();
  const headers = new Map<string, string>();
  const value = (expression: Expression): string => {
    if (expression.kind === 'literal') return expression.text;
    if (expression.kind === 'header') return request.headers.get(expression.name) ?? '';
    if (expression.name.startsWith('context.')) return context.get(expression.name.slice('context.'.length)) ?? '';
    return variables.get(expression.name) ?? '';
  };
  const holds = (test: Test): boolean =>
    test.length === 0 ||
    test.some(({ left, operator, right }) =>
      operator === '==' ? value(left) === right : new RegExp(`^(?:${right})$`).test(value(left)),
    );
  const render = (nodes: Vtl): string =>
    nodes
      .map((node) => {
        if (node.kind === 'text') return node.text;
        if (node.kind === 'if') return render(node.branches.find(({ test }) => holds(test))?.body ?? []);
        const override = /^context\.responseOverride\.header\.(.+)$/.exec(node.target)?.[1];
        if (override === undefined) variables.set(node.target, value(node.value));
        else headers.set(override, value(node.value));
        return '';
      })
      .join('');
  return { text: render(vtl), headers };
}

/** Text between directives, and directives with their parenthesized part. */
function tokenize(template: string): string[] {
  const tokens: string[] = [];
  let rest = template;
  while (rest !== '') {
    const start = rest.search(/#(?:set|if|elseif|else|end|foreach|macro|parse|include|stop)\b/);
    if (start !== 0) {
      tokens.push(start < 0 ? rest : rest.slice(0, start));
      rest = start < 0 ? '' : rest.slice(start);
      continue;
    }
    const directive = /^#(else|end)\b|^#(set|if|elseif)\s*\(/.exec(rest);
    if (directive === null) throw new Error(`the local run doesn't know this part of VTL: ${rest.slice(0, 40)}`);
    const end = directive[1] === undefined ? closing(rest, directive[0].length) : directive[0].length;
    tokens.push(rest.slice(0, end));
    rest = rest.slice(end);
  }
  return tokens;
}

/** Index after the parenthesis that closes the one before `from`. */
function closing(text: string, from: number): number {
  let depth = 1;
  let quote = '';
  for (let index = from; index < text.length; index++) {
    const character = text[index] ?? '';
    if (quote !== '') quote = character === quote ? '' : quote;
    else if (character === '"' || character === "'") quote = character;
    else if (character === '(') depth++;
    else if (character === ')' && --depth === 0) return index + 1;
  }
  throw new Error(`a parenthesis is not closed: ${text.slice(0, 40)}`);
}

function parseBlock(tokens: readonly string[], inner: boolean): [VtlNode[], readonly string[]] {
  const nodes: VtlNode[] = [];
  let rest = tokens;
  while (rest.length > 0) {
    const [token = ''] = rest;
    if (/^#(elseif|else|end)\b/.test(token)) return [nodes, rest];
    rest = rest.slice(1);
    if (token.startsWith('#set')) {
      const [, target = '', expression = ''] = /^#set\s*\(\s*\$([\w.-]+)\s*=\s*(.*)\)$/s.exec(token) ?? [];
      if (target === '') throw new Error(`the local run doesn't know this part of VTL: ${token}`);
      nodes.push({ kind: 'set', target, value: parseExpression(expression) });
    } else if (token.startsWith('#if')) {
      const [node, after] = parseIf(token, rest);
      nodes.push(node);
      rest = after;
    } else {
      nodes.push({ kind: 'text', text: token });
    }
  }
  if (inner) throw new Error('#if without #end');
  return [nodes, rest];
}

function parseIf(first: string, tokens: readonly string[]): [VtlNode, readonly string[]] {
  const branches: Array<{ test: Test; body: Vtl }> = [];
  let condition = first;
  let rest = tokens;
  while (true) {
    const [body, after] = parseBlock(rest, true);
    const [end = ''] = after;
    branches.push({ test: parseTest(condition), body });
    rest = after.slice(1);
    if (end.startsWith('#end')) return [{ kind: 'if', branches }, rest];
    condition = end;
  }
}

function parseTest(directive: string): Test {
  if (directive.startsWith('#else') && !directive.startsWith('#elseif')) return [];
  const condition = directive.slice(directive.indexOf('(') + 1, -1);
  return condition.split('||').map((part) => {
    const [, left = '', operator, quoted] = /^\s*(.+?)\s*(==|\.matches)\s*\(?\s*"([^"]*)"\s*\)?\s*$/.exec(part) ?? [];
    if (quoted === undefined) throw new Error(`the local run doesn't know this condition of VTL: ${part.trim()}`);
    return { left: parseExpression(left), operator: operator === '==' ? '==' : 'matches', right: quoted };
  });
}

function parseExpression(text: string): Expression {
  const trimmed = text.trim();
  const literal = /^"([^"$#]*)"$|^'([^']*)'$/.exec(trimmed);
  if (literal !== null) return { kind: 'literal', text: literal[1] ?? literal[2] ?? '' };
  const header = /^\$input\.params\(\)\.header\.get\(["']([^"']+)["']\)$/.exec(trimmed)?.[1];
  if (header !== undefined) return { kind: 'header', name: header };
  const variable = /^\$([\w.-]+)$/.exec(trimmed)?.[1];
  if (variable === undefined) throw new Error(`the local run doesn't know this expression of VTL: ${trimmed}`);
  return { kind: 'variable', name: variable };
}
