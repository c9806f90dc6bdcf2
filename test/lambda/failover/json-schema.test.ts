import { Ajv2020 } from 'ajv/dist/2020.js';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { violatesSchema } from '../../../lambda/failover/json-schema.ts';

const ajv = new Ajv2020({ strict: false, logger: false, validateFormats: false, ownProperties: true });
const PERSON = {
  type: 'object',
  properties: {
    name: { type: 'string', minLength: 1 },
    age: { type: ['integer', 'null'] },
    tags: { type: 'array', items: { enum: ['a', 'b'] }, uniqueItems: true },
    friend: { $ref: '#' },
    kind: { $ref: '#/$defs/kind' },
  },
  required: ['name', 'age'],
  additionalProperties: false,
  $defs: { kind: { const: 'person' } },
};
const ANN = { name: 'Ann', age: null, tags: ['a'], kind: 'person' };

test.each([
  [ANN, false],
  [{ ...ANN, friend: ANN }, false],
  [{ name: 'Ann' }, true],
  [{ ...ANN, name: '' }, true],
  [{ ...ANN, age: 1.5 }, true],
  [{ ...ANN, tags: ['c'] }, true],
  [{ ...ANN, tags: ['a', 'a'] }, true],
  [{ ...ANN, friend: { name: 'Bob' } }, true],
  [{ ...ANN, kind: 'dog' }, true],
  [{ ...ANN, color: 'red' }, true],
  [[ANN], true],
])('%j', (value, violates) => {
  expect(violatesSchema(value, PERSON)).toBe(violates);
});

// ajv passes over this one.
test('names of properties are only names', () => {
  const [schema, value] = ['{"properties":{"__proto__":{"type":"number"}}}', '{"__proto__":"x"}'];
  expect(violatesSchema(JSON.parse(value), JSON.parse(schema))).toBe(true);
});

describe('what isn’t certain counts as kept:', () => {
  test.each<[string, object | boolean, unknown]>([
    ['a regular expression of the client’s', { pattern: '^(a+)+$' }, 'b'],
    ['its opposite', { not: { pattern: 'a' } }, 'b'],
    [
      'properties by patterns',
      { patternProperties: { '^x': { type: 'string' } }, additionalProperties: false },
      { x: 1 },
    ],
    ['a reference to elsewhere', { $ref: 'https://example.com/schema' }, 1],
    ['a reference to nothing', { $ref: '#/$defs/none' }, 1],
    [
      'a reference from below another id',
      { $defs: { a: { $id: 'https://a.example/', $ref: '#' } }, $ref: '#/$defs/a' },
      1,
    ],
    ['a type that is none', { type: 'date' }, 1],
    ['null where OpenAPI allows it', { type: 'string', nullable: true }, null],
    ['a third of one', { multipleOf: 0.1 }, 0.3],
    ['a schema that is none', { properties: 5, required: 'x', enum: 'y', allOf: {}, items: 7 }, { a: [1] }],
  ])('%s', (_, schema, value) => {
    expect(violatesSchema(value, schema)).toBe(false);
  });
});

describe('a hostile schema keeps nobody busy:', () => {
  const doubling = (levels: number, join: string) => ({
    $ref: '#/$defs/d0',
    $defs: Object.fromEntries(
      Array.from({ length: levels }, (_, i) => [
        `d${i}`,
        { [join]: [1, 2].map(() => ({ $ref: `#/$defs/d${i + 1}` })) },
      ]),
    ),
  });
  const texts = Array.from({ length: 20_000 }, (_, i) => `word${i}`);
  const nested = (levels: number) => JSON.parse(`${'['.repeat(levels)}${']'.repeat(levels)}`);
  const deep = nested(5000);
  test.each<[string, object, unknown]>([
    ['doubling references', doubling(60, 'allOf'), 1],
    ['doubling alternatives', doubling(60, 'anyOf'), 1],
    ['a circle', { $ref: '#' }, 1],
    ['a wide circle', { anyOf: [{ $ref: '#' }, { $ref: '#' }] }, 1],
    ['a deep answer', { items: { $ref: '#' } }, deep],
    ['a deep constant', { const: nested(50_000) }, nested(50_000)],
    ['long lists for long lists', { items: { enum: texts } }, texts],
    ['long texts counted often', { allOf: texts.map(() => ({ maxLength: 1e9 })) }, 'x'.repeat(100_000)],
    ['long references', { allOf: texts.slice(0, 500).map(() => ({ $ref: `#/${'a/'.repeat(5000)}` })) }, 1],
    ['a deep list of what must differ', { uniqueItems: true, items: { $ref: '#' } }, [deep, deep]],
  ])('%s', (_, schema, value) => {
    const before = process.threadCpuUsage();
    violatesSchema(value, schema);
    // Microseconds of this thread's own: other tests take their share of the machine.
    expect(process.threadCpuUsage(before).user).toBeLessThan(1_000_000);
  });
});

const leaf = fc.oneof(
  fc.record({ type: fc.constantFrom('string', 'number', 'integer', 'boolean', 'null', 'object', 'array') }),
  fc.record({ type: fc.uniqueArray(fc.constantFrom('string', 'number', 'null'), { minLength: 1 }) }),
  fc.record({ enum: fc.array(fc.jsonValue({ maxDepth: 1 }), { minLength: 1, maxLength: 3 }) }),
  fc.record({ const: fc.jsonValue({ maxDepth: 2 }) }),
  fc.record({ minLength: fc.nat(3), maxLength: fc.nat(5) }),
  fc.record({ minimum: fc.integer({ min: -3, max: 3 }), exclusiveMaximum: fc.integer({ min: -3, max: 9 }) }),
  fc.record({ minItems: fc.nat(2), maxItems: fc.nat(3), minProperties: fc.nat(2), maxProperties: fc.nat(3) }),
  fc.record({ multipleOf: fc.integer({ min: 1, max: 5 }) }),
  fc.boolean(),
);
const named = (names: readonly string[], schemas: readonly unknown[]) =>
  Object.fromEntries(names.map((each, index) => [each, schemas[index]]));
const name = fc.constantFrom('a', 'b', 'c', 'constructor');
const { schema } = fc.letrec((tie) => ({
  schema: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    leaf,
    fc.record({
      properties: fc.dictionary(name, tie('schema')),
      required: fc.uniqueArray(name, { maxLength: 2 }),
      additionalProperties: tie('schema'),
    }),
    fc.record({ prefixItems: fc.array(tie('schema'), { minLength: 1, maxLength: 2 }), items: tie('schema') }),
    fc.record({ items: tie('schema') }),
    fc.record({ allOf: fc.array(tie('schema'), { minLength: 1, maxLength: 3 }) }),
    fc.record({ anyOf: fc.array(tie('schema'), { minLength: 1, maxLength: 3 }) }),
    fc.record({ oneOf: fc.array(tie('schema'), { minLength: 1, maxLength: 3 }) }),
    fc.record({ not: tie('schema') }),
    // `then` in an object literal would look like a promise's.
    fc.tuple(tie('schema'), tie('schema'), tie('schema')).map((schemas) => named(['if', 'then', 'else'], schemas)),
  ),
}));
const value = fc.oneof(
  fc.jsonValue({ maxDepth: 3 }),
  fc.dictionary(name, fc.jsonValue({ maxDepth: 1 })),
  fc.array(fc.integer({ min: -4, max: 9 }), { maxLength: 4 }),
);

/** As from a wire, with numbers of which both know the multiples. */
const plain = (any: unknown) =>
  JSON.parse(JSON.stringify(any), (_, each) => (typeof each === 'number' ? Math.round((each % 100) * 2) / 2 : each));

/** `undefined` where ajv itself fails: it compares a property `valueOf` by calling it. */
function validated(anySchema: object | boolean, anyValue: unknown): boolean | undefined {
  try {
    return ajv.validate(anySchema, anyValue);
  } catch {
    return undefined;
  }
}

test('says what ajv says of any schema and value', () => {
  let violated = 0;
  fc.assert(
    fc.property(schema, value, (anySchema, anyValue) => {
      const [asText, valueText] = [plain(anySchema), plain(anyValue)];
      const kept = validated(asText, valueText);
      fc.pre(kept !== undefined);
      expect(violatesSchema(valueText, asText)).toBe(!kept);
      if (!kept) violated += 1;
    }),
    { numRuns: 300 },
  );
  expect(violated).toBeGreaterThan(20);
});
