import type { AttributeValue } from '@aws-sdk/client-dynamodb';
import type { Change, Condition, Item, Value } from '../change.ts';

export type Key = { readonly pk: string; readonly sk: string };

export interface Expressions {
  readonly ConditionExpression: string;
  readonly UpdateExpression?: string;
  readonly ExpressionAttributeNames: Record<string, string>;
  readonly ExpressionAttributeValues?: Record<string, AttributeValue>;
}

/** A change in DynamoDB's words. Every name is an alias: some are reserved there. */
export function expressionsOf(change: Change): Expressions {
  const words = new Words();
  // An update of an item that isn't there would make one.
  const condition = `attribute_exists(${words.name('pk')}) AND (${words.condition(flat(change.when))})`;
  const clauses = [
    clause('SET', change.set, (name, value) => `${words.name(name)} = ${words.value(value)}`),
    clause('ADD', change.add, (name, value) => `${words.name(name)} ${words.value(value)}`),
    change.remove?.length ? `REMOVE ${change.remove.map((name) => words.name(name)).join(', ')}` : '',
  ].filter((text) => text !== '');
  return {
    ConditionExpression: condition,
    ...(clauses.length === 0 ? {} : { UpdateExpression: clauses.join(' ') }),
    ...words.attributes,
  };
}

/** Without lists of one: DynamoDB refuses parentheses that are not needed. */
function flat(condition: Condition): Condition {
  if ('all' in condition)
    return condition.all.length === 1 && condition.all[0] ? flat(condition.all[0]) : { all: condition.all.map(flat) };
  if ('any' in condition)
    return condition.any.length === 1 && condition.any[0] ? flat(condition.any[0]) : { any: condition.any.map(flat) };
  return condition;
}

function clause(
  verb: string,
  values: Readonly<Record<string, Value>> | undefined,
  text: (name: string, value: Value) => string,
): string {
  const entries = Object.entries(values ?? {});
  return entries.length === 0 ? '' : `${verb} ${entries.map(([name, value]) => text(name, value)).join(', ')}`;
}

class Words {
  readonly #names = new Map<string, string>();
  readonly #values: Array<readonly [string, AttributeValue]> = [];

  name(attribute: string): string {
    const alias = this.#names.get(attribute) ?? `#${this.#names.size}`;
    this.#names.set(attribute, alias);
    return alias;
  }

  value(value: Value): string {
    const alias = `:${this.#values.length}`;
    this.#values.push([alias, attributeOf(value)]);
    return alias;
  }

  condition(condition: Condition): string {
    if ('absent' in condition) return `attribute_not_exists(${this.name(condition.absent)})`;
    if ('all' in condition) return condition.all.map((each) => `(${this.condition(each)})`).join(' AND ');
    if ('any' in condition) return condition.any.map((each) => `(${this.condition(each)})`).join(' OR ');
    return `${this.name(condition.attribute)} ${condition.is} ${this.value(condition.value)}`;
  }

  get attributes(): Pick<Expressions, 'ExpressionAttributeNames' | 'ExpressionAttributeValues'> {
    return {
      ExpressionAttributeNames: Object.fromEntries([...this.#names].map(([name, alias]) => [alias, name])),
      ...(this.#values.length === 0 ? {} : { ExpressionAttributeValues: Object.fromEntries(this.#values) }),
    };
  }
}

export const attributeOf = (value: Value): AttributeValue =>
  typeof value === 'number' ? { N: String(value) } : { S: value };

export function marshalled(item: Item): Record<string, AttributeValue> {
  return Object.fromEntries(
    Object.entries(item).flatMap(([name, value]) => (value === undefined ? [] : [[name, attributeOf(value)]])),
  );
}

/** Texts and numbers; what else an item may hold (sets) is its reader's own matter. */
export function unmarshalled(attributes: Readonly<Record<string, AttributeValue>>): Item {
  return Object.fromEntries(
    Object.entries(attributes).flatMap(([name, value]): Array<[string, Value]> => {
      if (value.S !== undefined) return [[name, value.S]];
      return value.N === undefined ? [] : [[name, Number(value.N)]];
    }),
  );
}
