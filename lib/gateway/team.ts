import type { TeamConfig } from '../private/serving-config';
import { requireBudget, requireName } from '../private/validation';

/** Properties of a team. */
export interface TeamProps {
  /** Names the team in the ledger: letters, digits and `_.-`, at most 64. Unique within a gateway. */
  readonly teamName: string;

  /**
   * What its consumers may spend together in a calendar month (UTC), in USD. What is done when it is spent, each one's
   * tier says.
   *
   * @default - no limit; its usage is summed up
   */
  readonly monthlyBudgetUsd?: number;
}

/** Consumers that share a budget, beside those that each may have of its own. */
export class Team {
  /** Names the team in the ledger. */
  public readonly teamName: string;

  /** What its consumers may spend together in a month, in USD. */
  public readonly monthlyBudgetUsd?: number;

  constructor(props: TeamProps) {
    requireName('teamName', props.teamName);
    requireBudget(props.monthlyBudgetUsd);
    this.teamName = props.teamName;
    this.monthlyBudgetUsd = props.monthlyBudgetUsd;
  }

  /** @internal */
  public _render(): TeamConfig {
    return {
      name: this.teamName,
      ...(this.monthlyBudgetUsd !== undefined && { monthlyBudgetUsd: this.monthlyBudgetUsd }),
    };
  }
}
