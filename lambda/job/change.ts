/** What an attribute of an item may be. Whatever has structure is kept as JSON text. */
export type Value = string | number;

export type Item = Readonly<Record<string, Value | undefined>>;

/** A condition on one item's attributes. An attribute that isn't there fulfils no comparison. */
export type Condition =
  | { readonly absent: string }
  | { readonly attribute: string; readonly is: '=' | '<>' | '<' | '<=' | '>' | '>='; readonly value: Value }
  | { readonly all: readonly Condition[] }
  | { readonly any: readonly Condition[] };

/**
 * One write to one item, made only where the condition holds. As data, so that the table's expression and the model
 * that checks all interleavings are made of the same words.
 */
export interface Change {
  readonly when: Condition;
  readonly set?: Readonly<Record<string, Value>>;
  /** To numbers; one that isn't there counts as 0. */
  readonly add?: Readonly<Record<string, number>>;
  readonly remove?: readonly string[];
}

export const absent = (attribute: string): Condition => ({ absent: attribute });
export const all = (...conditions: Condition[]): Condition => ({ all: conditions });
export const any = (...conditions: Condition[]): Condition => ({ any: conditions });
export const where = (attribute: string, is: '=' | '<>' | '<' | '<=' | '>' | '>=', value: Value): Condition => ({
  attribute,
  is,
  value,
});
