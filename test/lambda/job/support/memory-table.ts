import type { Change, Condition, Item, Value } from '../../../../lambda/job/change.ts';

/** What DynamoDB makes of a condition and a change. `table.test.ts` holds it against a real implementation. */
export function holds(condition: Condition, item: Item): boolean {
  if ('absent' in condition) return item[condition.absent] === undefined;
  if ('all' in condition) return condition.all.every((each) => holds(each, item));
  if ('any' in condition) return condition.any.some((each) => holds(each, item));
  const value = item[condition.attribute];
  if (condition.is === '<>') return value !== condition.value;
  if (value === undefined || typeof value !== typeof condition.value) return false;
  switch (condition.is) {
    case '=':
      return value === condition.value;
    case '<':
      return value < condition.value;
    case '<=':
      return value <= condition.value;
    case '>':
      return value > condition.value;
    case '>=':
      return value >= condition.value;
  }
}

export function applied(change: Change, item: Item): Item | undefined {
  if (!holds(change.when, item)) return undefined;
  const next: Record<string, Value | undefined> = { ...item, ...change.set };
  for (const [name, amount] of Object.entries(change.add ?? {})) next[name] = Number(item[name] ?? 0) + amount;
  for (const name of change.remove ?? []) delete next[name];
  return next;
}
