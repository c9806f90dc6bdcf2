import type { Resource, Stack } from '../cloudformation/stack.ts';
import { isArray, isObject, type Json } from '../cloudformation/template.ts';
import { variablesOf } from '../lambda/from-stack.ts';

/** Input of CreateTable. */
export type TableDefinition = Readonly<Record<string, Json>> & { readonly TableName: string };

export const TABLE_TYPES = ['AWS::DynamoDB::Table', 'AWS::DynamoDB::GlobalTable'] as const;

/** The templates' tables, as CreateTable takes them, and an empty one in place of a ledger that they take up. */
export function tablesOf(stacks: readonly Stack[]): TableDefinition[] {
  const own = stacks.flatMap((stack) => TABLE_TYPES.flatMap((type) => stack.ofType(type))).map(tableOf);
  return [...own, ...importedLedgersOf(stacks).map(ledgerOf)];
}

/** Names of usage ledgers that functions refer to and no template makes. */
export function importedLedgersOf(stacks: readonly Stack[]): string[] {
  const own = new Set(
    stacks.flatMap((stack) => TABLE_TYPES.flatMap((type) => stack.ofType(type))).map(({ ref }) => ref),
  );
  const names = stacks
    .flatMap((stack) => stack.ofType('AWS::Lambda::Function'))
    .flatMap((fn) => variablesOf(fn).LLM_LEDGER_TABLE ?? []);
  return [...new Set(names)].filter((name) => !own.has(name));
}

/** As `UsageLedger` of lib/usage makes it; a test holds them against each other. */
function ledgerOf(name: string): TableDefinition {
  const key = (hash: string, range: string): Json[] => [
    { AttributeName: hash, KeyType: 'HASH' },
    { AttributeName: range, KeyType: 'RANGE' },
  ];
  return {
    TableName: name,
    AttributeDefinitions: ['pk', 'sk', 'm'].map((attribute) => ({ AttributeName: attribute, AttributeType: 'S' })),
    KeySchema: key('pk', 'sk'),
    BillingMode: 'PAY_PER_REQUEST',
    GlobalSecondaryIndexes: [
      { IndexName: 'by-month', KeySchema: key('m', 'pk'), Projection: { ProjectionType: 'KEYS_ONLY' } },
    ],
  };
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
