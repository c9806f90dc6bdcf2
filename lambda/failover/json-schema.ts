/**
 * Whether an answer is what a JSON schema asks for. The schema is the client's, and so may be hostile: no regular
 * expression of it is run, and no more than so many steps are taken, which validators from elsewhere don't promise (a
 * few lines of `allOf` and `$ref` make any of them busy for years). What isn't judged here, or takes too long, counts as
 * kept: an answer is called bad only where that is certain.
 */

/** Of a schema at a value. Large answers by large schemas take some thousands. */
const MAX_STEPS = 100_000;
/** Deeper ones would run out of stack. */
const MAX_DEPTH = 200;
/** To count a text's characters is a step for so many of them. */
const CHARACTERS_A_STEP = 16;

type Verdict = 'kept' | 'violated' | 'unknown';
type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };
type JsonObject = { readonly [key: string]: Json };

/** Assertions that aren't judged. Whatever else isn't known asserts nothing. */
const UNJUDGED = [
  'pattern',
  'patternProperties',
  'propertyNames',
  'contains',
  'dependencies',
  'dependentRequired',
  'dependentSchemas',
  'unevaluatedProperties',
  'unevaluatedItems',
  '$dynamicRef',
  '$recursiveRef',
];

export function violatesSchema(value: unknown, schema: unknown): boolean {
  return new Judge(schema as Json).judge(schema as Json, value as Json, 0) === 'violated';
}

class Judge {
  readonly #root: Json;
  #steps = 0;

  constructor(root: Json) {
    this.#root = root;
  }

  judge(schema: Json | undefined, value: Json, depth: number): Verdict {
    this.#steps += 1;
    if (schema === true || schema === undefined) return 'kept';
    if (schema === false) return 'violated';
    if (!isObject(schema) || this.#steps > MAX_STEPS || depth > MAX_DEPTH) return 'unknown';
    if (value === null && schema.nullable === true) return 'kept';
    const own = this.#keepsOwn(schema, value);
    if (this.#steps > MAX_STEPS) return 'unknown';
    if (own === false) return 'violated';
    const below = (each: Json | undefined, at: Json): Verdict => this.judge(each, at, depth + 1);
    const verdicts = [
      ...this.#referred(schema, value, depth),
      ...this.#combined(schema, value, below),
      ...(Array.isArray(value)
        ? ofItems(schema, value, below)
        : isObject(value)
          ? ofProperties(schema, value, below)
          : []),
      ...(own === undefined || this.#isUnjudged(schema) ? ['unknown' as const] : []),
    ];
    return all(verdicts);
  }

  /** Below another `$id`, references begin elsewhere. */
  #isUnjudged(schema: JsonObject): boolean {
    return (
      UNJUDGED.some((keyword) => schema[keyword] !== undefined) || (schema.$id !== undefined && schema !== this.#root)
    );
  }

  #referred({ $ref: ref }: JsonObject, value: Json, depth: number): Verdict[] {
    if (ref === undefined) return [];
    const target = typeof ref === 'string' ? this.#find(ref) : undefined;
    return [target === undefined ? 'unknown' : this.judge(target, value, depth + 1)];
  }

  /** Within the schema only: nothing is fetched. */
  #find(ref: string): Json | undefined {
    if (ref !== '#' && !ref.startsWith('#/')) return undefined;
    this.#steps += ref.length / CHARACTERS_A_STEP;
    let found: Json | undefined = this.#root;
    for (const step of ref.split('/').slice(1)) {
      const key = decoded(step).replaceAll('~1', '/').replaceAll('~0', '~');
      const holder = found as { readonly [key: string]: Json };
      found = typeof holder === 'object' && holder !== null && Object.hasOwn(holder, key) ? holder[key] : undefined;
    }
    return found;
  }

  #combined(schema: JsonObject, value: Json, below: (schema: Json | undefined, value: Json) => Verdict): Verdict[] {
    const verdictsOf = (keyword: string): Verdict[] | undefined => {
      const schemas = schema[keyword];
      return Array.isArray(schemas) ? schemas.map((each: Json) => below(each, value)) : undefined;
    };
    const verdicts: Verdict[] = verdictsOf('allOf') ?? [];
    const anyOf = verdictsOf('anyOf');
    if (anyOf !== undefined) verdicts.push(any(anyOf));
    const oneOf = verdictsOf('oneOf');
    if (oneOf !== undefined) verdicts.push(one(oneOf));
    if (schema.not !== undefined) verdicts.push(opposite(below(schema.not, value)));
    if (schema.if !== undefined) {
      const condition = below(schema.if, value);
      if (condition === 'unknown') verdicts.push('unknown');
      else verdicts.push(below(condition === 'kept' ? schema.then : schema.else, value));
    }
    return verdicts;
  }

  /** What a schema says of a value itself, without other schemas. Whatever is walked through is a step, too. */
  #keepsOwn(schema: JsonObject, value: Json): boolean | undefined {
    const { type, enum: values, const: only } = schema;
    if (type !== undefined && !this.#each(type).some((each) => typeof each !== 'string' || isOfType(each, value))) {
      return false;
    }
    if (Array.isArray(values) && !this.#each(values).some((each) => this.#equal(each, value))) return false;
    if (only !== undefined && !this.#equal(only, value)) return false;
    if (typeof value === 'number') return keepsNumber(schema, value);
    if (typeof value === 'string') {
      if (schema.minLength === undefined && schema.maxLength === undefined) return true;
      this.#steps += value.length / CHARACTERS_A_STEP;
      return isWithin([...value].length, schema.minLength, schema.maxLength);
    }
    if (Array.isArray(value)) {
      if (!isWithin(value.length, schema.minItems, schema.maxItems)) return false;
      return schema.uniqueItems !== true || this.#areUnique(value);
    }
    if (!isObject(value)) return true;
    const names = this.#each(Object.keys(value));
    if (!isWithin(names.length, schema.minProperties, schema.maxProperties)) return false;
    const { required } = schema;
    if (!Array.isArray(required)) return true;
    return this.#each(required).every((name) => typeof name !== 'string' || Object.hasOwn(value, name));
  }

  #each(values: Json): readonly Json[] {
    const list = Array.isArray(values) ? (values as readonly Json[]) : [values];
    this.#steps += list.length;
    return list;
  }

  #equal(a: Json | undefined, b: Json | undefined, depth = 0): boolean {
    this.#steps += depth > MAX_DEPTH ? MAX_STEPS : 1;
    if (a === b) return true;
    if (this.#steps > MAX_STEPS) return false;
    const below = (x: Json | undefined, y: Json | undefined): boolean => this.#equal(x, y, depth + 1);
    if (Array.isArray(a)) {
      return Array.isArray(b) && a.length === b.length && a.every((item: Json, index) => below(item, b[index]));
    }
    if (!isObject(a) || !isObject(b)) return false;
    const names = Object.keys(a);
    return (
      names.length === Object.keys(b).length && names.every((name) => Object.hasOwn(b, name) && below(a[name], b[name]))
    );
  }

  /** Each with each other would take too long; of objects and lists nothing is said. */
  #areUnique(value: readonly Json[]): boolean | undefined {
    const simple = this.#each(value).filter((item) => typeof item !== 'object' || item === null);
    if (new Set(simple).size < simple.length) return false;
    return simple.length === value.length ? true : undefined;
  }
}

function keepsNumber(schema: JsonObject, value: number): boolean {
  if (!isWithin(value, schema.minimum, schema.maximum)) return false;
  if (typeof schema.exclusiveMinimum === 'number' && value <= schema.exclusiveMinimum) return false;
  if (typeof schema.exclusiveMaximum === 'number' && value >= schema.exclusiveMaximum) return false;
  return typeof schema.multipleOf !== 'number' || isMultiple(value, schema.multipleOf);
}

type Below = (schema: Json | undefined, value: Json) => Verdict;

function* ofProperties(schema: JsonObject, value: JsonObject, below: Below): Generator<Verdict> {
  const properties = isObject(schema.properties) ? schema.properties : {};
  for (const [name, item] of Object.entries(value)) {
    if (Object.hasOwn(properties, name)) yield below(properties[name], item);
    // Which of them the patterns name isn't judged.
    else if (schema.patternProperties === undefined) yield below(schema.additionalProperties, item);
  }
}

/** `items` as a list is what `prefixItems` was called before 2020. */
function* ofItems(schema: JsonObject, value: readonly Json[], below: Below): Generator<Verdict> {
  const isOld = Array.isArray(schema.items);
  const tuple: unknown = isOld ? schema.items : schema.prefixItems;
  const prefix = Array.isArray(tuple) ? (tuple as readonly Json[]) : [];
  const rest = isOld ? schema.additionalItems : schema.items;
  for (const [index, item] of value.entries()) yield below(index < prefix.length ? prefix[index] : rest, item);
}

function isOfType(type: string, value: Json): boolean {
  if (type === 'integer') return Number.isInteger(value);
  if (type === 'array') return Array.isArray(value);
  if (type === 'object') return isObject(value);
  if (type === 'null') return value === null;
  // The other names are JavaScript's; one that is none says nothing.
  return (type !== 'string' && type !== 'number' && type !== 'boolean') || typeof value === type;
}

function isWithin(value: number, min: Json | undefined, max: Json | undefined): boolean {
  return !(typeof min === 'number' && value < min) && !(typeof max === 'number' && value > max);
}

/** 0.3 is a multiple of 0.1, whatever floating point says. */
function isMultiple(value: number, of: number): boolean {
  const quotient = value / of;
  return (
    !Number.isFinite(quotient) || Math.abs(quotient - Math.round(quotient)) < 1e-9 * Math.max(1, Math.abs(quotient))
  );
}

const isObject = (value: Json | undefined): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

const all = (verdicts: readonly Verdict[]): Verdict =>
  verdicts.includes('violated') ? 'violated' : verdicts.includes('unknown') ? 'unknown' : 'kept';

const any = (verdicts: readonly Verdict[]): Verdict =>
  verdicts.includes('kept') ? 'kept' : verdicts.includes('unknown') ? 'unknown' : 'violated';

function one(verdicts: readonly Verdict[]): Verdict {
  const kept = verdicts.filter((verdict) => verdict === 'kept').length;
  if (kept > 1) return 'violated';
  if (verdicts.includes('unknown')) return 'unknown';
  return kept === 1 ? 'kept' : 'violated';
}

const opposite = (verdict: Verdict): Verdict =>
  verdict === 'kept' ? 'violated' : verdict === 'violated' ? 'kept' : 'unknown';
