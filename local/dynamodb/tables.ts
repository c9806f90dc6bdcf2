import type { Resource, Stack } from '../cloudformation/stack.ts';
import { isArray, isObject, type Json } from '../cloudformation/template.ts';

/** Input of CreateTable. */
export type TableDefinition = Readonly<Record<string, Json>> & { readonly TableName: string };

export const TABLE_TYPES = ['AWS::DynamoDB::Table', 'AWS::DynamoDB::GlobalTable'] as const;

/** The templates' tables, as CreateTable takes them. */
export function tablesOf(stacks: readonly Stack[]): TableDefinition[] {
  return stacks.flatMap((stack) => TABLE_TYPES.flatMap((type) => stack.ofType(type))).map(tableOf);
}

function tableOf(resource: Resource): TableDefinition {
  const secondary = {
    GlobalSecondaryIndexes: indexes(resource, 'GlobalSecondaryIndexes'),
    LocalSecondaryIndexes: indexes(resource, 'LocalSecondaryIndexes'),
  };
  return {
    TableName: resource.ref,
    AttributeDefinitions: resource.required('AttributeDefinitions'),
    KeySchema: resource.required('KeySchema'),
    // Nothing is throttled here: capacity that is provisioned isn't modeled.
    BillingMode: 'PAY_PER_REQUEST',
    ...Object.fromEntries(Object.entries(secondary).filter(([, list]) => list.length > 0)),
  };
}

/** What CreateTable knows of an index; the rest of the template's (throughput, insights) is of no effect here. */
function indexes(resource: Resource, property: string): Json[] {
  const list = resource.property(property);
  if (!isArray(list)) return [];
  return list.filter(isObject).map(({ IndexName, KeySchema, Projection }) => ({
    IndexName: IndexName ?? '',
    KeySchema: KeySchema ?? [],
    Projection: Projection ?? {},
  }));
}
