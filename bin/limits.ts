import { BudgetAction, LedgerUnavailable, QuotaPeriod, Team, type TierProps } from '../lib/index.js';
import { asObject, at, ContextError, type Decode, fields, list, number, oneOf, required, text } from './decode.ts';

/** `"block"`, `"notify"`, or `{"downgrade": "<model>"}`. */
const budgetAction: Decode<BudgetAction> = (value, path) => {
  if (value === 'block') return BudgetAction.block();
  if (value === 'notify') return BudgetAction.notifyOnly();
  if (typeof value === 'string') {
    throw new ContextError(`${path} must be "block", "notify" or {"downgrade": "<model>"}, got "${value}"`);
  }
  const { downgrade } = fields({ downgrade: text })(asObject(value, path), path);
  return BudgetAction.downgrade(required(downgrade, `${path}.downgrade`));
};

const tierFields = fields({
  name: text,
  requestsPerSecond: number,
  burst: number,
  requestQuota: number,
  quotaPeriod: oneOf(Object.values(QuotaPeriod)),
  allowedModels: list(text),
  maxOutputTokens: number,
  priority: number,
  tokensPerMinute: number,
  requestsPerMinute: number,
  monthlyBudgetUsd: number,
  onBudgetExceeded: budgetAction,
  budgetThresholds: list(number),
  ledgerUnavailable: oneOf(Object.values(LedgerUnavailable)),
});

/** `tiers[…]` */
export const tier: Decode<TierProps> = (value, path) => {
  const { name, ...rest } = tierFields(value, path);
  return { ...rest, tierName: required(name, `${path}.name`) };
};

const teamFields = fields({ name: text, monthlyBudgetUsd: number });

/** `teams[…]` */
export const team: Decode<Team> = (value, path) => {
  const { name, monthlyBudgetUsd } = teamFields(value, path);
  const teamName = required(name, `${path}.name`);
  return at(path, () => new Team({ teamName, monthlyBudgetUsd }));
};

/** By their names. @throws ContextError when two have the same */
export function teamsByName(teams: readonly Team[]): ReadonlyMap<string, Team> {
  const found = new Map<string, Team>();
  for (const [index, each] of teams.entries()) {
    if (found.has(each.teamName)) {
      throw new ContextError(`teams[${index}].name is "${each.teamName}", as another team's: rename one of them`);
    }
    found.set(each.teamName, each);
  }
  return found;
}

/** @throws ContextError for a team that isn't declared */
export function teamOf(name: string | undefined, teams: ReadonlyMap<string, Team>, path: string): Team | undefined {
  if (name === undefined) return undefined;
  const found = teams.get(name);
  if (found === undefined) {
    const known = teams.size === 0 ? 'none is declared' : `one of ${[...teams.keys()].join(', ')}`;
    throw new ContextError(`${path} must be a team of teams (${known}), got "${name}"`);
  }
  return found;
}
