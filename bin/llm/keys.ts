import type { APIGatewayClient, ApiKey, UsagePlan } from '@aws-sdk/client-api-gateway';
import { type KeyEntry, keyItem, keyItemKey, listKeys } from '../../lambda/usage/keys.ts';
import type { LedgerTable } from '../../lambda/usage/table.ts';
import { type Io, parse, UsageError } from './command.ts';
import { deleteItem, openTable, TABLE_HELP, TABLE_OPTIONS } from './ledger-table.ts';
import { csv, textTable } from './text-table.ts';

export const usage = `usage: llm-serving keys create CONSUMER --tier TIER [--team TEAM] [--budget USD]
       llm-serving keys list [--format table|csv|json]
       llm-serving keys disable KEY_ID
       llm-serving keys rotate KEY_ID [--disable-old]

API keys without a deployment. A key's value is API Gateway's, and shown once; whose it is stands in the ledger.

  --tier TIER           a tier of the deployment
  --team TEAM           a team of the deployment, whose budget the consumer shares
  --budget USD          what the consumer may spend in a month, instead of what its tier says
  --usage-plan ID       the tier's usage plan, where its name doesn't say which
  --disable-old         the old key stops working at once; otherwise disable it when clients have the new one
${TABLE_HELP}`;

const OPTIONS = {
  tier: { type: 'string' },
  team: { type: 'string' },
  budget: { type: 'string' },
  'usage-plan': { type: 'string' },
  'disable-old': { type: 'boolean', default: false },
  format: { type: 'string', default: 'table' },
  ...TABLE_OPTIONS,
} as const;

/** As the constructs have it. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/;

export async function run(args: readonly string[], io: Io): Promise<void> {
  const { values, positionals } = parse(args, OPTIONS, true);
  const [action, subject, ...rest] = positionals;
  if (rest.length > 0) throw new UsageError(`too many arguments: ${rest.join(' ')}`);
  const scope = async (): Promise<Scope> => {
    // Only the ledger is local: with AWS_PROFILE set, the account's own API Gateway would be asked.
    if (values.local && action !== 'list') {
      throw new UsageError(`keys ${action} needs API Gateway, which the local run doesn't have: pass --table NAME`);
    }
    return { io, table: openTable(values), gateway: await gatewayClient() };
  };
  switch (action) {
    case 'create': {
      const entry = entryOf(subject, values);
      return create(await scope(), entry, values['usage-plan']);
    }
    case 'list':
      return list(await scope(), values.format);
    case 'disable':
      return disable(await scope(), required(subject, 'KEY_ID'));
    case 'rotate':
      return rotate(await scope(), required(subject, 'KEY_ID'), values['disable-old'], values['usage-plan']);
    default:
      throw new UsageError(action === undefined ? 'what with keys?' : `keys can't ${action}`);
  }
}

type Sdk = typeof import('@aws-sdk/client-api-gateway');

interface Scope {
  readonly io: Io;
  readonly table: LedgerTable;
  readonly gateway: readonly [Sdk, APIGatewayClient];
}

async function gatewayClient(): Promise<readonly [Sdk, APIGatewayClient]> {
  const sdk = await import('@aws-sdk/client-api-gateway');
  return [sdk, new sdk.APIGatewayClient({})];
}

function entryOf(consumer: string | undefined, values: { tier?: string; team?: string; budget?: string }) {
  const name = required(consumer, 'CONSUMER');
  for (const [what, value] of Object.entries({ CONSUMER: name, '--tier': required(values.tier, '--tier') })) {
    if (!NAME.test(value)) throw new UsageError(`${what} must be 1–64 letters, digits, "_", "." or "-", got ${value}`);
  }
  if (values.team !== undefined && !NAME.test(values.team)) throw new UsageError(`--team is no name: ${values.team}`);
  const budget = values.budget === undefined ? undefined : Number(values.budget);
  if (budget !== undefined && !(budget > 0 && Number.isFinite(budget))) {
    throw new UsageError(`--budget must be USD above 0, got ${values.budget}`);
  }
  return {
    ...{ consumer: name, tier: values.tier ?? '' },
    ...(values.team === undefined ? {} : { team: values.team }),
    ...(budget === undefined ? {} : { monthlyBudgetUsd: budget }),
  };
}

function required(value: string | undefined, name: string): string {
  if (value === undefined || value === '') throw new UsageError(`${name} is missing`);
  return value;
}

async function create(
  scope: Scope,
  entry: Omit<KeyEntry, 'keyId' | 'createdAt'>,
  planId: string | undefined,
): Promise<void> {
  const taken = (await listKeys(scope.table)).find(({ consumer }) => consumer === entry.consumer);
  if (taken !== undefined) {
    throw new Error(`consumer ${entry.consumer} has the key ${taken.keyId} already: use 'keys rotate ${taken.keyId}'`);
  }
  const declared = await declaredKey(scope.gateway, entry, planId);
  if (declared !== undefined) {
    throw new Error(
      `consumer ${entry.consumer} is declared in the deployment, with the key ${declared}: choose another name, or take it out of the deployment first`,
    );
  }
  const made = await makeKey(scope, entry, planId);
  scope.io.err(`key ${made.keyId} of consumer ${entry.consumer}, tier ${entry.tier}; its value is shown this once:\n`);
  scope.io.out(`${made.value}\n`);
}

/** A declared consumer's account would be the new key's as well. @returns the declared key's id */
async function declaredKey(
  gateway: Scope['gateway'],
  { consumer, tier }: Pick<KeyEntry, 'consumer' | 'tier'>,
  planId: string | undefined,
): Promise<string | undefined> {
  const [sdk, client] = gateway;
  const plans = await plansOf(gateway);
  const usagePlanId = planId ?? (await planOf(gateway, tier));
  const stages = stagesOf(plans.find(({ id }) => id === usagePlanId));
  const ids = new Set<string>();
  // All tiers of the gateway, and no other deployment's, which may have a consumer of that name.
  for (const plan of plans.filter((each) => stagesOf(each).some((stage) => stages.includes(stage)))) {
    for await (const page of sdk.paginateGetUsagePlanKeys({ client }, { usagePlanId: plan.id ?? '' })) {
      for (const { id } of page.items ?? []) if (id !== undefined) ids.add(id);
    }
  }
  for await (const page of sdk.paginateGetApiKeys({ client }, { includeValues: false })) {
    const found = (page.items ?? []).find((key) => ids.has(key.id ?? '') && consumerOf(key) === consumer);
    if (found !== undefined) return found.id;
  }
  return undefined;
}

const stagesOf = (plan: UsagePlan | undefined): string[] =>
  (plan?.apiStages ?? []).map(({ apiId, stage }) => `${apiId}/${stage}`);

/** The construct tags a key, and describes it as `Consumer <name>, tier <tier>` unless told otherwise. */
const consumerOf = ({ tags, description = '' }: ApiKey): string | undefined =>
  tags?.['llm-serving:consumer'] ?? /^Consumer (\S+), tier /.exec(description)?.[1];

/** Of no use to anybody until it is in a plan, which is the last step: what fails before leaves nothing that works. */
async function makeKey(
  { table, gateway }: Scope,
  entry: Omit<KeyEntry, 'keyId' | 'createdAt'>,
  planId: string | undefined,
): Promise<{ readonly keyId: string; readonly value: string }> {
  const [sdk, client] = gateway;
  const usagePlanId = planId ?? (await planOf(gateway, entry.tier));
  const { id: keyId = '', value = '' } = await client.send(
    new sdk.CreateApiKeyCommand({
      name: entry.consumer,
      description: `Consumer ${entry.consumer}, tier ${entry.tier}`,
      enabled: true,
    }),
  );
  try {
    await table.put(keyItem({ ...entry, keyId, createdAt: Date.now() }));
    await client.send(new sdk.CreateUsagePlanKeyCommand({ usagePlanId, keyId, keyType: 'API_KEY' }));
  } catch (error) {
    await client.send(new sdk.DeleteApiKeyCommand({ apiKey: keyId }));
    await deleteItem(table, keyItemKey(keyId));
    throw error;
  }
  return { keyId, value };
}

/** The construct describes a tier's usage plan as `Tier <name>`. */
async function planOf(gateway: Scope['gateway'], tier: string): Promise<string> {
  const plans = (await plansOf(gateway)).filter(({ description }) => description === `Tier ${tier}`);
  const [plan, ...others] = plans;
  if (plan?.id === undefined) throw new Error(`no usage plan of this region is tier ${tier}'s`);
  if (others.length > 0) {
    const ids = plans.map(({ id, name }) => `${id} (${name})`).join(', ');
    throw new Error(`several deployments have a tier ${tier}: pass --usage-plan with one of ${ids}`);
  }
  return plan.id;
}

async function plansOf([sdk, client]: Scope['gateway']): Promise<UsagePlan[]> {
  const plans: UsagePlan[] = [];
  for await (const page of sdk.paginateGetUsagePlans({ client }, {})) plans.push(...(page.items ?? []));
  return plans;
}

async function list({ table, gateway: [sdk, client], io }: Scope, format: string): Promise<void> {
  const entries = (await listKeys(table)).sort((a, b) => (a.consumer < b.consumer ? -1 : 1));
  const rows = await Promise.all(
    entries.map(async (entry) => {
      const key = await client.send(new sdk.GetApiKeyCommand({ apiKey: entry.keyId })).catch((error: unknown) => {
        if (error instanceof sdk.NotFoundException) return undefined;
        throw error;
      });
      const state = key === undefined ? 'deleted' : key.enabled ? 'enabled' : 'disabled';
      return { ...entry, state, created: new Date(entry.createdAt).toISOString() };
    }),
  );
  if (format === 'json') {
    io.out(`${JSON.stringify(rows, null, 2)}\n`);
    return;
  }
  const cells = rows.map((row) => [
    ...[row.keyId, row.consumer, row.tier, row.team ?? ''],
    ...[row.monthlyBudgetUsd === undefined ? '' : String(row.monthlyBudgetUsd), row.state, row.created],
  ]);
  const head = ['key', 'consumer', 'tier', 'team', 'budget_usd', 'state', 'created'];
  io.out(format === 'csv' ? csv(head, cells) : textTable(head, cells));
}

async function disable({ gateway: [sdk, client], io }: Scope, keyId: string): Promise<void> {
  const patchOperations = [{ op: 'replace' as const, path: '/enabled', value: 'false' }];
  await client.send(new sdk.UpdateApiKeyCommand({ apiKey: keyId, patchOperations }));
  io.err(`key ${keyId} is disabled\n`);
}

async function rotate(scope: Scope, keyId: string, disableOld: boolean, planId: string | undefined): Promise<void> {
  const old = (await listKeys(scope.table)).find((entry) => entry.keyId === keyId);
  if (old === undefined) {
    throw new Error(`key ${keyId} is not in the ledger: those of the deployment are replaced by the deployment`);
  }
  const { keyId: _, createdAt: __, ...entry } = old;
  const made = await makeKey(scope, entry, planId);
  scope.io.err(`key ${made.keyId} takes the place of ${keyId}; its value is shown this once:\n`);
  scope.io.out(`${made.value}\n`);
  if (disableOld) await disable(scope, keyId);
  else scope.io.err(`the old key works until you run 'keys disable ${keyId}'\n`);
}
