import { RESOURCE_TYPES } from './resource-types.ts';
import type { Stack } from './stack.ts';

export interface Gap {
  readonly type: string;
  readonly count: number;
  readonly meaning: string;
}

/** What the assembly has and the local run doesn't do, by type. */
export function gapsOf(stacks: readonly Stack[]): Gap[] {
  const counts = new Map<string, number>();
  for (const { type } of stacks.flatMap((stack) => stack.resources)) counts.set(type, (counts.get(type) ?? 0) + 1);
  return [...counts]
    .sort(([a], [b]) => a.localeCompare(b))
    .flatMap(([type, count]) => {
      const rules = RESOURCE_TYPES[type];
      if (rules !== undefined && rules.standIn !== 'differs') return [];
      return [{ type, count, meaning: rules?.note ?? 'nothing stands in for it: it is as if it were not there' }];
    });
}
