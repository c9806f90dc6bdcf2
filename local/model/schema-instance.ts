import type { JsonSchema } from './text-model.ts';

/**
 * A small instance of a JSON schema: required and optional properties, `enum`, `const`, `anyOf`/`oneOf` (the first
 * branch that isn't null), `allOf` (merged), local `$ref`, bounds of numbers, strings and arrays, usual formats.
 * `hints` are words of the prompt: free strings are taken from them, so that `{"city": …}` for "weather in Paris"
 * says Paris.
 */
export function schemaInstance(schema: JsonSchema, hints: readonly string[] = []): unknown {
  const words = [...hints];
  return instance(schema, schema, { next: (fallback) => words.shift() ?? fallback }, 0);
}

interface Hints {
  next(fallback: string): string;
}

/** A recursive schema (a tree's children) ends here: optional properties are left out below. */
const MAX_DEPTH = 6;

const FORMATS: Readonly<Record<string, string>> = {
  date: '2026-01-31',
  'date-time': '2026-01-31T12:00:00Z',
  time: '12:00:00Z',
  duration: 'PT1H',
  email: 'someone@example.com',
  hostname: 'example.com',
  ipv4: '192.0.2.1',
  ipv6: '2001:db8::1',
  uri: 'https://example.com/',
  uuid: '00000000-0000-4000-8000-000000000000',
};

function instance(given: unknown, root: JsonSchema, hints: Hints, depth: number): unknown {
  const schema = resolve(given, root);
  if ('const' in schema) return schema.const;
  if (Array.isArray(schema.enum) && schema.enum.length > 0) return schema.enum[0];
  const branch = firstBranch(schema, root);
  if (branch) return instance(branch, root, hints, depth);
  switch (typeOf(schema)) {
    case 'object':
      return objectInstance(schema, root, hints, depth);
    case 'array': {
      const least = numberOr(schema.minItems, depth < MAX_DEPTH ? 1 : 0);
      const count = Math.min(least, numberOr(schema.maxItems, least));
      return Array.from({ length: count }, () => instance(schema.items ?? {}, root, hints, depth + 1));
    }
    case 'integer':
      return numberInstance(schema, 1);
    case 'number':
      return numberInstance(schema, 0);
    case 'boolean':
      return true;
    case 'null':
      return null;
    default:
      return stringInstance(schema, hints);
  }
}

function objectInstance(schema: JsonSchema, root: JsonSchema, hints: Hints, depth: number): Record<string, unknown> {
  const properties = isRecord(schema.properties) ? schema.properties : {};
  const required = Array.isArray(schema.required) ? schema.required.map(String) : [];
  const result: Record<string, unknown> = {};
  for (const [name, property] of Object.entries(properties)) {
    if (depth >= MAX_DEPTH && !required.includes(name)) continue;
    result[name] = instance(property, root, hints, depth + 1);
  }
  for (const name of required) if (!(name in result)) result[name] = hints.next('simulated');
  return result;
}

function numberInstance(schema: JsonSchema, step: number): number {
  const low = numberOr(schema.minimum, numberOr(schema.exclusiveMinimum, Number.NEGATIVE_INFINITY));
  const high = numberOr(schema.maximum, numberOr(schema.exclusiveMaximum, Number.POSITIVE_INFINITY));
  let value = Math.min(Math.max(1, low), high);
  const gap = step || Math.min(0.5, Number.isFinite(high - low) ? (high - low) / 2 : 0.5);
  if (value === schema.exclusiveMinimum) value += gap;
  if (value === schema.exclusiveMaximum) value -= gap;
  if (step) value = value === high || high - value < 1 ? Math.floor(value) : Math.ceil(value);
  const multiple = numberOr(schema.multipleOf, 0);
  return multiple > 0 ? Math.ceil(value / multiple) * multiple : value;
}

function stringInstance(schema: JsonSchema, hints: Hints): string {
  if (typeof schema.format === 'string' && FORMATS[schema.format]) return FORMATS[schema.format] ?? '';
  const text = hints.next('simulated').padEnd(numberOr(schema.minLength, 0), '.');
  return text.slice(0, numberOr(schema.maxLength, text.length));
}

function firstBranch(schema: JsonSchema, root: JsonSchema): unknown {
  const branches = schema.anyOf ?? schema.oneOf;
  if (!Array.isArray(branches) || branches.length === 0) return undefined;
  return branches.find((branch) => resolve(branch, root).type !== 'null') ?? branches[0];
}

function typeOf(schema: JsonSchema): string {
  const type = Array.isArray(schema.type) ? schema.type.find((one) => one !== 'null') : schema.type;
  if (typeof type === 'string') return type;
  if ('properties' in schema) return 'object';
  return 'items' in schema ? 'array' : 'string';
}

function resolve(given: unknown, root: JsonSchema): JsonSchema {
  let schema: JsonSchema = isRecord(given) ? given : {};
  // A chain of references can't be longer than this unless it is a circle.
  for (let hops = 0; typeof schema.$ref === 'string' && hops < 16; hops += 1) {
    const target = schema.$ref
      .replace(/^#\/?/, '')
      .split('/')
      .filter(Boolean)
      .reduce<unknown>((node, key) => (isRecord(node) ? node[decodeURIComponent(key)] : undefined), root);
    schema = isRecord(target) ? target : {};
  }
  if (!Array.isArray(schema.allOf)) return schema;
  const parts = schema.allOf.map((part) => resolve(part, root));
  const all = [{ ...schema, allOf: undefined }, ...parts];
  return Object.assign({}, ...all, {
    properties: Object.assign({}, ...all.map((part) => record(part.properties))),
    required: all.flatMap((part) => list(part.required)),
  }) as JsonSchema;
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const record = (value: unknown): Record<string, unknown> => (isRecord(value) ? value : {});
const list = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);
const numberOr = (value: unknown, fallback: number): number => (typeof value === 'number' ? value : fallback);
