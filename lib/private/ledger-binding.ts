import type { Function as LambdaFunction } from 'aws-cdk-lib/aws-lambda';
import type { IConsumer } from '../gateway/consumer';
import type { Team } from '../gateway/team';
import type { Tier } from '../gateway/tier';
import type { IUsageLedger } from '../usage/usage-ledger';
import type { ServingConfig } from './serving-config';

/** Environment variable with the name of the ledger's table. */
const LEDGER_TABLE_ENV = 'LLM_LEDGER_TABLE';

/** A request's function has so long beside the request's own time: what is reserved lives until then. */
const RESERVATION_MARGIN_MS = 60_000;
/** Hundred times what an update takes; a connection is made in it, too. */
const TIMEOUT_MS = 1000;

/** Lets a gateway's function use the ledger, and says where it is. */
export function bindLedger(ledger: IUsageLedger | undefined, fn: LambdaFunction): void {
  if (ledger === undefined) return;
  ledger.grantUse(fn);
  fn.addEnvironment(LEDGER_TABLE_ENV, ledger.tableName);
}

export function ledgerConfig(
  ledger: IUsageLedger | undefined,
  totalTimeoutMs: number,
  consumers: readonly IConsumer[],
): Pick<ServingConfig, 'ledger' | 'consumers' | 'teams'> {
  if (ledger === undefined) return {};
  const named = consumers.filter(({ team, monthlyBudgetUsd }) => (team ?? monthlyBudgetUsd) !== undefined);
  const teams = teamsOf(consumers);
  return {
    ledger: {
      table: { env: LEDGER_TABLE_ENV },
      reservationMs: totalTimeoutMs + RESERVATION_MARGIN_MS,
      retentionDays: ledger.retention.toDays(),
      timeoutMs: TIMEOUT_MS,
    },
    ...(named.length > 0 && {
      consumers: named.map(({ consumerName, team, monthlyBudgetUsd }) => ({
        name: consumerName,
        ...(team && { team: team.teamName }),
        ...(monthlyBudgetUsd !== undefined && { monthlyBudgetUsd }),
      })),
    }),
    ...(teams.length > 0 && { teams: teams.map((team) => team._render()) }),
  };
}

/** What is wrong with tiers and teams, as far as their limits go. */
export function ledgerProblems(
  ledger: IUsageLedger | undefined,
  tiers: readonly Tier[],
  hasModel: (name: string) => boolean,
): string[] {
  const consumers = tiers.flatMap((tier) => tier.consumers);
  const problems: string[] = [];
  const remedy = 'pass usageLedger to the gateway, or use LlmServing, which makes one';
  for (const tier of tiers) {
    const [limit] = tier._limits();
    if (ledger === undefined && limit !== undefined) {
      problems.push(`tier "${tier.tierName}" has ${limit}, which nothing counts without a ledger: ${remedy}`);
    }
    const model = tier._downgradeModel();
    if (model !== undefined && !hasModel(model)) {
      problems.push(`tier "${tier.tierName}" downgrades to model "${model}", which this gateway doesn't have`);
    }
  }
  for (const { consumerName, team, monthlyBudgetUsd } of consumers) {
    if (ledger !== undefined || (team ?? monthlyBudgetUsd) === undefined) continue;
    problems.push(
      `consumer "${consumerName}" has a team or a budget, which nothing counts without a ledger: ${remedy}`,
    );
  }
  const teams = teamsOf(consumers);
  const twice = teams.find((team) => teams.some((other) => other !== team && other.teamName === team.teamName));
  if (twice !== undefined) {
    problems.push(`two teams of one gateway have the name "${twice.teamName}": use one object for both`);
  }
  return problems;
}

const teamsOf = (consumers: readonly IConsumer[]): Team[] => [...new Set(consumers.flatMap(({ team }) => team ?? []))];
