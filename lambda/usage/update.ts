import type { UpdateItemCommandInput } from '@aws-sdk/client-dynamodb';
import type { Item } from './account.ts';

/** Puts an update of an account's item together. Attributes go by their own names; here they get placeholders. */
export class Update {
  readonly #placeholders = new Map<string, string>();
  readonly #names: Record<string, string> = {};
  readonly #values: Item = {};
  #valueCount = 0;
  #sets = '';
  #adds = '';
  #removes = '';
  #conditions = '';

  name(attribute: string): string {
    const known = this.#placeholders.get(attribute);
    if (known !== undefined) return known;
    const placeholder = `#n${this.#placeholders.size}`;
    this.#placeholders.set(attribute, placeholder);
    this.#names[placeholder] = attribute;
    return placeholder;
  }

  value(value: Item[string]): string {
    const placeholder = `:v${this.#valueCount++}`;
    this.#values[placeholder] = value;
    return placeholder;
  }

  number(value: number): string {
    return this.value({ N: String(value) });
  }

  add(attribute: string, amount: number): this {
    this.#adds += `${this.#adds === '' ? 'ADD ' : ', '}${this.name(attribute)} ${this.number(amount)}`;
    return this;
  }

  set(attribute: string, expression: string): this {
    return this.setPath(this.name(attribute), expression);
  }

  /** @param path of placeholders: a field of a map */
  setPath(path: string, expression: string): this {
    this.#sets += `${this.#sets === '' ? 'SET ' : ', '}${path} = ${expression}`;
    return this;
  }

  remove(attribute: string): this {
    this.#removes += `${this.#removes === '' ? 'REMOVE ' : ', '}${this.name(attribute)}`;
    return this;
  }

  when(condition: string): this {
    this.#conditions += `${this.#conditions === '' ? '' : ' AND '}${condition}`;
    return this;
  }

  /** An attribute that isn't there counts as 0. */
  whenAtMost(attribute: string, most: number): this {
    const name = this.name(attribute);
    return this.when(`(attribute_not_exists(${name}) OR ${name} <= ${this.number(most)})`);
  }

  input(TableName: string, Key: Item): UpdateItemCommandInput {
    return {
      TableName,
      Key,
      UpdateExpression: `${this.#sets} ${this.#adds} ${this.#removes}`.trim(),
      ...(this.#conditions === '' ? {} : { ConditionExpression: this.#conditions }),
      ExpressionAttributeNames: this.#names,
      ...(this.#valueCount === 0 ? {} : { ExpressionAttributeValues: this.#values }),
      ReturnValues: 'ALL_NEW',
      ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
    };
  }
}
