import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';

type Json = Readonly<Record<string, unknown>>;

interface Member extends Json {
  readonly name: string;
  readonly docs?: { readonly summary?: string; readonly deprecated?: string };
  readonly overrides?: string;
  readonly immutable?: boolean;
}

interface Type extends Json {
  readonly fqn: string;
  readonly kind: string;
  readonly datatype?: boolean;
  readonly docs?: Member['docs'];
  readonly properties?: readonly Member[];
  readonly methods?: readonly Member[];
  readonly members?: readonly Member[];
}

/** The assembly: what the other languages' packages are generated from. */
const { types } = JSON.parse(readFileSync('.jsii', 'utf8')) as { types: Readonly<Record<string, Type>> };
const all = Object.values(types);

/** Every place below with a type that is no type: `any` (`Object`, `interface{}`) or one of several (`Object` too). */
function untyped(value: unknown, path: string): string[] {
  if (Array.isArray(value)) return value.flatMap((item, index) => untyped(item, `${path}.${item?.name ?? index}`));
  if (typeof value !== 'object' || value === null) return [];
  const { primitive, union } = value as Json;
  if (primitive === 'any' || primitive === 'json' || union !== undefined) return [path];
  return Object.entries(value)
    .filter(([key]) => key !== 'docs')
    .flatMap(([key, item]) => untyped(item, `${path}.${key}`));
}

/**
 * Methods that every object has in Java or .NET: a static one of that name doesn't compile there, as `notify` doesn't.
 * https://docs.oracle.com/javase/8/docs/api/java/lang/Object.html
 */
const METHODS_OF_EVERY_OBJECT = new Set([
  ...['clone', 'finalize', 'getClass', 'hashCode', 'notify', 'notifyAll', 'wait'],
  ...['equals', 'toString', 'getHashCode', 'getType', 'memberwiseClone', 'referenceEquals'],
]);

const members = (type: Type): readonly Member[] => [
  ...(type.properties ?? []),
  ...(type.methods ?? []),
  ...(type.members ?? []),
];

describe('the public API', () => {
  test('is there', () => {
    expect(all.length).toBeGreaterThan(50);
    expect(untyped({ parameters: [{ name: 'x', type: { primitive: 'any' } }] }, 'f')).toEqual(['f.parameters.x.type']);
  });

  test('has a type everywhere, in every language', () => {
    expect(all.flatMap((type) => untyped(members(type), type.fqn))).toEqual([]);
    expect(all.flatMap((type) => untyped(type.initializer, `${type.fqn}.constructor`))).toEqual([]);
  });

  test('has no member that Java and .NET have on every object already', () => {
    const taken = all.flatMap((type) =>
      (type.methods ?? [])
        .filter(({ name, overrides }) => METHODS_OF_EVERY_OBJECT.has(name) && overrides === undefined)
        .map(({ name }) => `${type.fqn}.${name}`),
    );
    expect(taken).toEqual([]);
  });

  test('documents every type and member', () => {
    const undocumented = all.flatMap((type) => [
      ...(type.docs?.summary === undefined ? [type.fqn] : []),
      ...members(type)
        .filter(({ docs, overrides }) => docs?.summary === undefined && overrides === undefined)
        .map(({ name }) => `${type.fqn}.${name}`),
    ]);
    expect(undocumented).toEqual([]);
  });

  test('says what replaces what is deprecated', () => {
    const deprecated = all
      .flatMap((type) => [type, ...members(type)])
      .filter(({ docs }) => docs?.deprecated !== undefined);
    for (const { name, docs } of deprecated) expect(docs?.deprecated, String(name)).toMatch(/\buse\b/i);
  });

  test('takes properties that nobody can change later', () => {
    const mutable = all
      .filter(({ datatype }) => datatype === true)
      .flatMap(({ fqn, properties = [] }) =>
        properties.filter(({ immutable }) => immutable !== true).map(({ name }) => `${fqn}.${name}`),
      );
    expect(mutable).toEqual([]);
  });
});
