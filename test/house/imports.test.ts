import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { describe, expect, test } from 'vitest';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

interface Import {
  readonly from: string;
  readonly to: string;
  readonly typeOnly: boolean;
  /** `import()`: loaded when first used. */
  readonly dynamic: boolean;
}

/** Folder → what its files may import from other top-level folders. Packages are everybody's own matter. */
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  bin: ['lib'],
  lib: [],
  lambda: [],
  // The local run reads the assembly's files; its starting script builds first.
  local: ['scripts'],
  // The build compiles the request schema, whose source the handler owns.
  scripts: ['lambda'],
};

/** What lib writes and lambda reads. */
const CONTRACTS: ReadonlySet<string> = new Set(
  ['serving-config', 'meter-config', 'kill-switch-config'].map((name) => `lib/private/${name}.ts`),
);

describe('imports run one way', () => {
  const imports = Object.keys(ALLOWED).flatMap((folder) => importsOf(folder));

  test('the reader of imports sees them', () => {
    expect(imports.length).toBeGreaterThan(50);
  });

  test.each(Object.entries(ALLOWED))('%s imports only its own and %j', (folder, allowed) => {
    const strays = imports.filter(
      (i) =>
        top(i.from) === folder &&
        top(i.to) !== folder &&
        !allowed.includes(top(i.to)) &&
        !isContract(i) &&
        !isReplay(i) &&
        !isLedger(i) &&
        !isJobs(i) &&
        !isCache(i),
    );
    expect(strays).toEqual([]);
  });

  test('lambda takes only types from lib, and only from their contracts', () => {
    const fromLib = imports.filter((i) => top(i.from) === 'lambda' && top(i.to) === 'lib');
    expect(fromLib.length).toBeGreaterThan(0);
    expect(fromLib.filter((i) => !isContract(i))).toEqual([]);
  });

  test('a step of the path knows no entry, and entries do not know each other', () => {
    const entries = ['api', 'authorizer', 'jobs', 'meter', 'pause', 'webhook', 'worker'].map(
      (name) => `lambda/${name}`,
    );
    const strays = imports.filter((i) =>
      entries.some((entry) => i.to.startsWith(`${entry}/`) && !i.from.startsWith(`${entry}/`)),
    );
    expect(strays).toEqual([]);
  });

  test('no circle of modules', () => {
    const graph = new Map<string, string[]>();
    for (const i of imports) {
      if (!i.typeOnly && !i.dynamic) graph.set(i.from, [...(graph.get(i.from) ?? []), i.to]);
    }
    expect(circles(graph)).toEqual([]);
  });

  test('none in lambda either by types, or by what is loaded when first used', () => {
    const graph = new Map<string, string[]>();
    for (const i of imports) {
      if (top(i.from) === 'lambda') graph.set(i.from, [...(graph.get(i.from) ?? []), i.to]);
    }
    expect(circles(graph)).toEqual([]);
  });
});

function isContract(i: Import): boolean {
  return i.typeOnly && i.from.startsWith('lambda/') && CONTRACTS.has(i.to);
}

/** `route score` tells what the data path would do: a copy of its modules in `bin` would tell something else one day. */
const isReplay = (i: Import): boolean => i.from.startsWith('bin/llm/route/') && top(i.to) === 'lambda';
/** How usage lies in the ledger's table is known in one place, to those who write it and those who read it. */
function isLedger(i: Import): boolean {
  return i.from.startsWith('bin/llm/') && i.to.startsWith('lambda/usage/');
}

/** `jobs` takes the very steps that the functions take: a second state machine would be one too many. */
const isJobs = (i: Import): boolean => i.from.startsWith('bin/llm/jobs/') && i.to.startsWith('lambda/job/');

/** `cache score` measures the very guards and embeddings that the data path has. */
const isCache = (i: Import): boolean =>
  i.from.startsWith('bin/llm/cache/') && /^lambda\/(cache\/semantic|embeddings|contract)\//.test(i.to);

function top(file: string): string {
  return file.split('/')[0] ?? '';
}

function importsOf(folder: string): Import[] {
  return sourcesOf(join(ROOT, folder)).flatMap((file) => {
    const source = ts.createSourceFile(file, readFileSync(file, 'utf8'), ts.ScriptTarget.Latest, true);
    const found: Import[] = [];
    const add = (specifier: string, typeOnly: boolean, dynamic = false): void => {
      if (!specifier.startsWith('.')) return;
      found.push({ from: relative(ROOT, file), to: resolved(file, specifier), typeOnly, dynamic });
    };
    const visit = (node: ts.Node): void => {
      if (ts.isImportDeclaration(node) && ts.isStringLiteral(node.moduleSpecifier)) {
        add(node.moduleSpecifier.text, isTypeOnly(node));
      } else if (ts.isExportDeclaration(node) && node.moduleSpecifier && ts.isStringLiteral(node.moduleSpecifier)) {
        add(node.moduleSpecifier.text, node.isTypeOnly);
      } else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
        const [argument] = node.arguments;
        if (argument && ts.isStringLiteral(argument)) add(argument.text, false, true);
      }
      ts.forEachChild(node, visit);
    };
    visit(source);
    return found;
  });
}

function isTypeOnly(node: ts.ImportDeclaration): boolean {
  const clause = node.importClause;
  if (clause === undefined) return false;
  if (clause.phaseModifier === ts.SyntaxKind.TypeKeyword) return true;
  const named = clause.namedBindings;
  return (
    clause.name === undefined &&
    named !== undefined &&
    ts.isNamedImports(named) &&
    named.elements.every((e) => e.isTypeOnly)
  );
}

function sourcesOf(path: string): string[] {
  return readdirSync(path)
    .filter((name) => name !== 'node_modules' && name !== 'generated')
    .map((name) => join(path, name))
    .flatMap((file) => (statSync(file).isDirectory() ? sourcesOf(file) : [file]))
    .filter((file) => file.endsWith('.ts') && !file.endsWith('.d.ts'));
}

function resolved(from: string, specifier: string): string {
  const base = resolve(from, '..', specifier).replace(/\.js$/, '.ts');
  const candidates = [base, `${base}.ts`, join(base, 'index.ts')];
  const hit = candidates.find((file) => statSync(file, { throwIfNoEntry: false })?.isFile());
  return relative(ROOT, hit ?? base);
}

function circles(graph: ReadonlyMap<string, readonly string[]>): string[][] {
  const found: string[][] = [];
  const done = new Set<string>();
  const walk = (node: string, path: readonly string[]): void => {
    const at = path.indexOf(node);
    if (at >= 0) {
      found.push([...path.slice(at), node]);
      return;
    }
    if (done.has(node)) return;
    for (const next of graph.get(node) ?? []) walk(next, [...path, node]);
    done.add(node);
  };
  for (const node of graph.keys()) walk(node, []);
  return found;
}
