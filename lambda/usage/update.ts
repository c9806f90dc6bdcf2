import type { UpdateItemCommandInput } from '@aws-sdk/client-dynamodb';
import type { Item } from './account.ts';

/** Puts an update of an account's item together. Attributes go by their own names; here they get placeholders. */
export class Update {
  readonly #names = new Map<string, string>();
  readonly #values: Item = {};
  readonly #sets: string[] = [];
  readonly #adds: string[] = [];
  readonly #removes: string[] = [];
  readonly #conditions: string[] = [];

  name(attribute: string): string {
    const known = this.#names.get(attribute);
    if (known !== undefined) return known;
    const placeholder = `#n${this.#names.size}`;
    this.#names.set(attribute, placeholder);
    return placeholder;
  }

  value(value: Item[string]): string {
    const placeholder = `:v${Object.keys(this.#values).length}`;
    this.#values[placeholder] = value;
    return placeholder;
  }

  number(value: number): string {
    return this.value({ N: String(value) });
  }

  add(attribute: string, amount: number): this {
    this.#adds.push(`${this.name(attribute)} ${this.number(amount)}`);
    return this;
  }

  set(attribute: string, expression: string): this {
    return this.setPath(this.name(attribute), expression);
  }

  /** @param path of placeholders: a field of a map */
  setPath(path: string, expression: string): this {
    this.#sets.push(`${path} = ${expression}`);
    return this;
  }

  remove(path: string): this {
    this.#removes.push(path);
    return this;
  }

  removeAttribute(attribute: string): this {
    return this.remove(this.name(attribute));
  }

  when(condition: string): this {
    this.#conditions.push(condition);
    return this;
  }

  /** An attribute that isn't there counts as 0. */
  whenAtMost(attribute: string, most: number): this {
    const name = this.name(attribute);
    return this.when(`(attribute_not_exists(${name}) OR ${name} <= ${this.number(most)})`);
  }

  input(TableName: string, Key: Item): UpdateItemCommandInput {
    const clauses = [
      ['SET', this.#sets],
      ['ADD', this.#adds],
      ['REMOVE', this.#removes],
    ] as const;
    return {
      TableName,
      Key,
      UpdateExpression: clauses
        .filter(([, parts]) => parts.length > 0)
        .map(([keyword, parts]) => `${keyword} ${parts.join(', ')}`)
        .join(' '),
      ...(this.#conditions.length === 0 ? {} : { ConditionExpression: this.#conditions.join(' AND ') }),
      ExpressionAttributeNames: Object.fromEntries([...this.#names].map(([name, placeholder]) => [placeholder, name])),
      ...(Object.keys(this.#values).length === 0 ? {} : { ExpressionAttributeValues: this.#values }),
      ReturnValues: 'ALL_NEW',
      ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
    };
  }
}
